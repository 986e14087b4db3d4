//! Floor 10: training in a few lines, with checkpoints and records.

mod event;
#[cfg(feature = "records")]
mod saved;

pub use event::Event;
#[cfg(feature = "records")]
pub use saved::Start;

use crate::curriculum::{Curriculum, Layer, Range};
use crate::data::Splits;
use crate::error::Result;
use crate::gpu::{Gpu, block_on};
use crate::nn::Model;
use crate::nn::objective::Objective;
use crate::optim::Rule;
use crate::train::{Config, Method, Observer, Outcome, Task, objective_of, run_async};
use event::EventObserver;
use std::sync::Arc;

/// Trains a model on data.
///
/// ```no_run
/// use lerac::curriculum::Range;
/// use lerac::data::shapes;
/// use lerac::gpu::{Gpu, GpuOptions};
/// use lerac::nn::{Conv, Net};
/// use lerac::optim::Rule;
/// use lerac::tape::Var;
/// use lerac::Trainer;
///
/// let gpu = Gpu::open(&GpuOptions::default())?;
/// let model = |net: &mut Net, x: Var, classes: usize| {
///     let x = net.conv2d("conv", x, Conv::same3x3(12, 2));
///     let x = net.batch_norm_relu("bn", x);
///     let x = net.global_mean_pool("pool", x);
///     net.linear("linear", x, classes)
/// };
/// let outcome = Trainer::new(&gpu, model, shapes(2000, 500, 0))
///     .optimizer(Rule::adam())
///     .learning_rate(0.003)
///     .lerac(Range { first: 3e-3, last: 3e-6 }, 1.0)
///     .epochs(3)
///     .batch_size(50)
///     .observe(|event| println!("{event}"))
///     .run()?;
/// println!("{}", outcome.summary.in_words());
/// # Ok::<(), lerac::error::Error>(())
/// ```
///
/// With `out` (feature `records`) the run is saved in a directory: options, tables, checkpoints,
/// and at the end weights and summary. A run that ended early continues from its latest checkpoint,
/// to the same bytes.
pub struct Trainer<'o> {
    gpu: Gpu,
    config: Config,
    model: Arc<dyn Model>,
    data: Splits,
    objective: Option<Arc<dyn Objective>>,
    curriculum: Option<Arc<crate::train::MakeCurriculum<'static>>>,
    title: Option<String>,
    observers: Vec<Box<dyn Observer + 'o>>,
    #[cfg(feature = "records")]
    output: Option<saved::Output>,
}

impl<'o> Trainer<'o> {
    /// Trains `model` on `data` with the default options: SGD with momentum 0.9, learning rate 0.1,
    /// 5 epochs, batch size 64, no curriculum. A tenth of the training examples, at most 1,000, are
    /// held out for validation.
    pub fn new(gpu: &Gpu, model: impl Model + 'static, data: impl Into<Splits>) -> Self {
        let data = data.into();
        let validation = (data.train.len() / 10).min(1000);
        let config = Config::default().with(|config| {
            config.model.name = "own".to_owned();
            config.data.name = data.train.name().to_owned();
            config.data.validation = validation;
        });
        let (model, objective, curriculum) = (Arc::new(model), None, None);
        Self::with(gpu, config, model, data, objective, curriculum)
    }

    /// Trains a task.
    pub fn of(gpu: &Gpu, task: Task) -> Self {
        let Task { config, model, data, objective, curriculum } = task;
        Self::with(gpu, config, model, data, Some(objective), curriculum)
    }

    fn with(
        gpu: &Gpu,
        config: Config,
        model: Arc<dyn Model>,
        data: Splits,
        objective: Option<Arc<dyn Objective>>,
        curriculum: Option<Arc<crate::train::MakeCurriculum<'static>>>,
    ) -> Self {
        Self {
            gpu: gpu.clone(),
            config,
            model,
            data,
            objective,
            curriculum,
            title: None,
            observers: vec![],
            #[cfg(feature = "records")]
            output: None,
        }
    }

    /// Changes any option.
    pub fn options(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The name of the model in files.
    pub fn model_name(self, name: &str) -> Self {
        self.options(|config| config.model.name = name.to_owned())
    }

    /// The name of the training method in plots and reports.
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// The update rule.
    pub fn optimizer(self, rule: Rule) -> Self {
        self.options(|config| config.optimizer.set_rule(rule))
    }

    /// The common learning rate.
    pub fn learning_rate(self, eta: f64) -> Self {
        self.options(|config| config.optimizer.eta = eta)
    }

    /// Weight decay.
    pub fn weight_decay(self, decay: f64) -> Self {
        self.options(|config| config.optimizer.weight_decay = decay)
    }

    /// Learning Rate Curriculum: initial rates from the first to the last layer, and the number of
    /// epochs until all layers have the common rate.
    pub fn lerac(self, range: Range, k: f64) -> Self {
        self.options(|config| {
            config.curriculum.method = Method::Lerac;
            (config.curriculum.range, config.curriculum.k) = (Some(range), Some(k));
        })
    }

    /// Another curriculum, made from the model's layers.
    pub fn curriculum<C: Curriculum + 'static>(mut self, make: impl Fn(&[Layer]) -> C + Send + Sync + 'static) -> Self {
        self.curriculum = Some(Arc::new(move |layers| Ok(Box::new(make(layers)) as Box<dyn Curriculum>)));
        self
    }

    /// The objective. The default is chosen by the first target of the data.
    pub fn objective(mut self, objective: impl Objective + 'static) -> Self {
        self.objective = Some(Arc::new(objective));
        self
    }

    /// Number of epochs.
    pub fn epochs(self, epochs: u64) -> Self {
        self.options(|config| config.training.epochs = epochs)
    }

    /// Examples per step.
    pub fn batch_size(self, examples: usize) -> Self {
        self.options(|config| config.training.batch_size = examples)
    }

    /// Training examples held out for validation, which selects the best epoch; 0 keeps the last
    /// epoch.
    pub fn validation(self, examples: usize) -> Self {
        self.options(|config| config.data.validation = examples)
    }

    /// Seed of initial weights, split, batch order, augmentation and dropout.
    pub fn seed(self, seed: u64) -> Self {
        self.options(|config| config.training.seed = seed)
    }

    /// Calls `on_event` for each event of the run.
    pub fn observe(self, on_event: impl FnMut(Event<'_>) + 'o) -> Self {
        self.observer(EventObserver(on_event))
    }

    /// Adds an observer.
    pub fn observer(mut self, observer: impl Observer + 'o) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// The task that this trainer runs.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] for invalid options, or a model that does not accept the
    /// data.
    pub fn task(&self) -> Result<Task> {
        self.config.check_values()?;
        let form = self.data.train.form();
        self.model.accepts(&form)?;
        let objective = match &self.objective {
            Some(objective) => objective.clone(),
            None => objective_of(&self.config, &self.data)?,
        };
        let (config, data) = (self.config.clone(), self.data.clone());
        Ok(Task { config, model: self.model.clone(), data, objective, curriculum: self.curriculum.clone() })
    }

    /// Trains the model and evaluates the test set once.
    ///
    /// # Errors
    /// The errors of [`crate::train::run`]; the errors of writing the output directory.
    pub async fn run_async(mut self) -> Result<Outcome> {
        let task = self.task()?;
        #[cfg(feature = "records")]
        if let Some(output) = self.output.take() {
            let title = self.title.unwrap_or_else(|| task.config.curriculum.method.to_string());
            return output.run(&self.gpu, &task, &title, self.observers).await;
        }
        run_async(&self.gpu, &task, &mut self.observers).await
    }

    /// Blocking form of [`Trainer::run_async`].
    ///
    /// # Errors
    /// The errors of [`Trainer::run_async`].
    pub fn run(self) -> Result<Outcome> {
        block_on(self.run_async())
    }
}
