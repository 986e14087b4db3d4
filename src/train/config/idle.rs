//! Options that were given and play no part.

use super::{Config, Method, Preset, ScheduleKind};
use crate::curriculum::DuringCurriculum;

/// An option: its field, whether it differs from the default, whether it plays a part, and the
/// reason if it does not.
type Row = (&'static str, bool, bool, String);

impl Config {
    /// Sentences about options that differ from the defaults and have no effect. Names of fields
    /// are in backquotes.
    pub fn without_effect(&self) -> Vec<String> {
        let idle = self.idle(&|_| false);
        self.idle_schedules().into_iter().chain(idle.into_iter().map(|(_, sentence)| sentence)).collect()
    }

    /// The options without effect, each with a sentence. An option counts as given if it differs
    /// from the default or if `given` is true for its field.
    pub(crate) fn idle(&self, given: &dyn Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let rows = [self.rows_of_data(), self.rows_of_curriculum(), self.rows_of_optimizer(), self.rows_of_training()]
            .concat();
        let idle = rows.into_iter().filter(|(field, differs, plays, _)| !plays && (*differs || given(field)));
        let idle = idle.map(|(field, _, _, why)| (field, format!("`{field}` does nothing, since {why}")));
        idle.chain(self.beyond_the_end()).collect()
    }

    /// Options that name a time after the last epoch, each with a sentence.
    fn beyond_the_end(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (curriculum, optimizer, training) = (&self.curriculum, &self.optimizer, &self.training);
        let epochs = training.epochs;
        let last_milestone = optimizer.milestones.last().filter(|_| optimizer.schedule == ScheduleKind::Step);
        let patience = (optimizer.schedule == ScheduleKind::Plateau).then_some(optimizer.patience as f64);
        let stop = curriculum.stop_update_epoch.filter(|_| self.follows_published_code());
        let warms = optimizer.warmup_epochs > 0.0 && !self.schedule_waits();
        let times = [
            ("milestones", last_milestone.copied().filter(|&last| last >= epochs as f64)),
            ("patience", patience.filter(|&patience| patience >= epochs as f64)),
            ("warmup_epochs", Some(optimizer.warmup_epochs).filter(|&warmup| warms && warmup > epochs as f64)),
            ("stop_update_epoch", stop.filter(|&stop| stop > epochs).map(|stop| stop as f64)),
            ("early_stopping", training.early_stopping.filter(|&patience| patience >= epochs).map(|p| p as f64)),
        ];
        let sentence = move |(field, time): (&'static str, Option<f64>)| {
            let sentence = format!("`{field}` {} is not reached, since the run ends after {epochs} epochs", time?);
            Some((field, sentence))
        };
        times.into_iter().filter_map(sentence)
    }

    /// Whether schedule and warm-up are off while rates grow.
    fn schedule_waits(&self) -> bool {
        self.curriculum.method.grows_rates() && self.curriculum.during_curriculum() == DuringCurriculum::Off
    }

    /// Whether rates follow the published code.
    fn follows_published_code(&self) -> bool {
        let options = &self.curriculum;
        options.method == Method::LeracReference || (options.is_lerac() && options.preset == Preset::Reference)
    }

    /// Sentences about schedules that a curriculum switches off.
    pub(crate) fn idle_schedules(&self) -> Vec<String> {
        let (curriculum, optimizer) = (&self.curriculum, &self.optimizer);
        let grows = curriculum.method.grows_rates();
        let waits = self.schedule_waits();
        let multiply = "`schedule_during_curriculum` multiply lets it act from the first step on";
        let mut idle = vec![];
        if waits && optimizer.warms() {
            let fields = optimizer.all_warmup_options();
            let verb = if fields.len() == 1 { "does" } else { "do" };
            idle.push(format!(
                "`{}` {verb} nothing, since rates grow by the curriculum; `schedule_during_curriculum` multiply lets the \
                 warm-up act from the first step on",
                fields.join("`, `")
            ));
        }
        if waits && optimizer.schedule != ScheduleKind::Constant && self.k() >= self.training.epochs as f64 {
            idle.push(format!("`schedule` does nothing, since rates grow in all epochs; {multiply}"));
        }
        if curriculum.schedule_during_curriculum.is_some() && !(grows && optimizer.changes_rate()) {
            let why = if grows { "there is neither `schedule` nor `warmup_epochs`" } else { "no rates grow" };
            idle.push(format!("`schedule_during_curriculum` does nothing, since {why}"));
        }
        idle
    }

    fn rows_of_curriculum(&self) -> Vec<Row> {
        let (options, usual) = (&self.curriculum, Self::default().curriculum);
        let (method, reference) = (options.method, self.follows_published_code());
        let paper = method.has_ramp() && !reference;
        let preset = options.is_lerac() || (method.grows_rates() && self.optimizer.changes_rate());
        let of = |which: &str| format!("it is for {which}, and `method` is {method}");
        let of_paper = match reference {
            true => "the published code has other options, such as `updates_per_epoch`".to_owned(),
            false => of("LeRaC and its controls"),
        };
        let of_reference = of("lerac with `preset` reference");
        let blurs = method.has_blur();
        vec![
            ("k", options.k.is_some(), paper, of_paper.clone()),
            ("range", options.range.is_some(), paper, of_paper.clone()),
            ("granularity", options.granularity != usual.granularity, paper, of_paper.clone()),
            ("pace", options.pace != usual.pace, paper, of_paper),
            ("preset", options.preset != usual.preset, preset, of("lerac and lerac-cbs")),
            ("ladder", options.ladder != usual.ladder, reference, of_reference.clone()),
            ("min_lr", options.min_lr != usual.min_lr, reference, of_reference.clone()),
            ("clf", options.clf != usual.clf, reference, of_reference.clone()),
            ("stop_lr", options.stop_lr.is_some(), reference, of_reference.clone()),
            (
                "updates_per_epoch",
                options.updates_per_epoch != usual.updates_per_epoch,
                reference,
                of_reference.clone(),
            ),
            ("stop_update_epoch", options.stop_update_epoch.is_some(), reference, of_reference),
            ("sigma", options.sigma != usual.sigma, blurs, of("cbs and lerac-cbs")),
            ("sigma_decay", options.sigma_decay != usual.sigma_decay, blurs, of("cbs and lerac-cbs")),
            ("sigma_every", options.sigma_every != usual.sigma_every, blurs, of("cbs and lerac-cbs")),
        ]
    }

    fn rows_of_optimizer(&self) -> Vec<Row> {
        let (options, usual) = (&self.optimizer, Self::default().optimizer);
        let (name, schedule) = (&options.name, options.schedule);
        let is = |kinds: &[ScheduleKind]| kinds.contains(&schedule);
        let (sgd, kind) = (name == "sgd", format!("{schedule:?}").to_lowercase());
        let of_sgd = format!("it is for sgd, and `optimizer` is {name}");
        let of_adam = "it is for adam, adamw and adamax, and `optimizer` is sgd".to_owned();
        let of = |which: &str| format!("it is for {which}, and `schedule` is {kind}");
        let (step, plateau) = (is(&[ScheduleKind::Step]), is(&[ScheduleKind::Plateau]));
        vec![
            ("momentum", options.momentum != usual.momentum, sgd, of_sgd.clone()),
            ("nesterov", options.nesterov, sgd, of_sgd),
            ("beta1", options.beta1 != usual.beta1, !sgd, of_adam.clone()),
            ("beta2", options.beta2 != usual.beta2, !sgd, of_adam.clone()),
            ("epsilon", options.epsilon != usual.epsilon, !sgd, of_adam),
            (
                "spare_norm_and_bias",
                options.spare_norm_and_bias,
                options.weight_decay > 0.0,
                "`weight_decay` is 0".to_owned(),
            ),
            ("milestones", !options.milestones.is_empty(), step, of("step")),
            ("gamma", options.gamma != usual.gamma, step || plateau, of("step and plateau")),
            ("patience", options.patience != usual.patience, plateau, of("plateau")),
            (
                "final_rate",
                options.final_rate != usual.final_rate,
                plateau || is(&[ScheduleKind::Cosine, ScheduleKind::Linear]),
                of("cosine, linear and plateau"),
            ),
        ]
    }

    fn rows_of_data(&self) -> Vec<Row> {
        let why = "`data` is shapes, which has no files; imagefolder reads your own images".to_owned();
        vec![("data_dir", self.data.data_dir.is_some(), self.data.name != "shapes", why)]
    }

    fn rows_of_training(&self) -> Vec<Row> {
        let (options, usual) = (&self.training, Self::default().training);
        vec![(
            "snr_batches",
            options.snr_batches != usual.snr_batches,
            options.snr_every > 0,
            "`snr_every` is 0".into(),
        )]
    }
}
