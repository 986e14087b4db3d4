//! Observers of a run: pairs, and their requests.

use crate::common::{Test, test};
use crate::training::{Silent, config, data, run};
use lerac::curriculum::Layer;
use lerac::error::{Error, Result};
use lerac::gpu::Gpu;
use lerac::train::{
    Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, Observer, Outcome, SessionPlan, TableChecksum,
};
#[cfg(feature = "records")]
use lerac::{Trainer, records::RunFiles};
use std::cell::RefCell;
use std::rc::Rc;

/// Whether two runs have equal weights, scores and answers. Times are ignored.
pub fn same_end(found: &Outcome, expected: &Outcome) {
    assert!(found.session.snapshot().unwrap() == expected.session.snapshot().unwrap(), "other weights");
    let numbers = |outcome: &Outcome| {
        let summary = &outcome.summary;
        (summary.scores.clone(), summary.test_loss, summary.steps, summary.best_epoch)
    };
    assert_eq!(numbers(found), numbers(expected));
    assert_eq!(found.answers, expected.answers);
}

/// The observer's name and the event.
type Notes = Rc<RefCell<Vec<(&'static str, String)>>>;

/// Appends every event, with its own name, to a shared list.
struct Noting {
    name: &'static str,
    notes: Notes,
    checkpoint_at: u64,
    stop_after: u64,
    fail_at: u64,
    step: u64,
    /// The tables in the latest checkpoint when it arrived here.
    noted_before: Vec<String>,
}

impl Noting {
    fn write(&self, what: String) {
        self.notes.borrow_mut().push((self.name, what));
    }
}

impl Observer for Noting {
    fn note(&mut self, text: &str) {
        self.write(format!("note {text}"));
    }

    fn begin(&mut self, _: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.write(format!("begin {} {steps}", layers.len()));
        Ok(())
    }

    fn step(&mut self, step: u64) {
        self.step = step;
        self.write(format!("step {step}"));
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.write(format!("interval {} {}", record.step, record.training.loss));
        match record.step == self.fail_at {
            true => Err(Error::Failed(format!("{} has failed", self.name))),
            false => Ok(()),
        }
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        self.write(format!("noise {}", record.step));
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.write(format!("{part} {done} of {examples}"));
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.write(format!("epoch {}", record.epoch));
        Ok(())
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        step == self.checkpoint_at
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.write(format!("checkpoint {}", checkpoint.state.step));
        self.noted_before = checkpoint.state.tables.keys().cloned().collect();
        checkpoint.state.tables.insert(self.name.to_owned(), TableChecksum { bytes: 1, crc32: 2 });
        Ok(())
    }

    fn wants_to_stop(&self) -> bool {
        self.step >= self.stop_after
    }
}

/// A pair that writes to one list.
fn pair() -> ((Noting, Noting), Notes) {
    let notes = Rc::default();
    let noting = |name, checkpoint_at| Noting {
        name,
        notes: Rc::clone(&notes),
        checkpoint_at,
        stop_after: u64::MAX,
        fail_at: u64::MAX,
        step: 0,
        noted_before: vec![],
    };
    ((noting("first", 4), noting("second", 7)), notes)
}

/// Both get every event, the first one first. Each gets the checkpoints of both, with the entries
/// that earlier observers added.
fn pairs_get_every_event(gpu: &Gpu) {
    let config = config().with(|c| {
        c.training.snr_every = 5;
        c.training.snr_batches = 2;
    });
    let ((mut first, mut second), notes) = pair();
    // By reference or by value, in nested pairs, and in a list.
    let outcome = run(gpu, &config, &data(), &mut ((&mut first, &mut second), Silent)).unwrap();
    same_end(&outcome, &run(gpu, &config, &data(), &mut Silent).unwrap());
    assert_eq!((first.noted_before.len(), &second.noted_before[..]), (0, &["first".to_owned()][..]));
    let of_pair = notes.take();
    let mut list: Vec<Box<dyn Observer + '_>> = vec![Box::new(&mut first), Box::new(Silent), Box::new(&mut second)];
    run(gpu, &config, &data(), &mut list).unwrap();
    list.note("all");
    drop(list);
    (Silent, second).note("one");
    let of_list = notes.take();
    let last = [("first", "note all"), ("second", "note all"), ("second", "note one")];
    assert!(of_list[of_pair.len()..].iter().map(|(name, what)| (*name, what.as_str())).eq(last), "{of_list:?}");
    assert_eq!(of_list[..of_pair.len()], of_pair);
    first.note("of one");
    let notes = [of_pair, notes.take()].concat();
    let of = |name: &str| notes.iter().filter(|(by, _)| *by == name).map(|(_, what)| what.as_str()).collect::<Vec<_>>();
    let (of_first, of_second) = (of("first"), of("second"));
    assert_eq!(of_first.split_last(), Some((&"note of one", &of_second[..])));
    let expected = [
        "begin 4 12",
        "noise 0",
        "step 1",
        "step 2",
        "step 3",
        "interval 3 ",
        "step 4",
        "checkpoint 4",
        "step 5",
        "noise 5",
        "step 6",
        "interval 6 ",
        "validation 0 of 20",
        "validation 16 of 20",
        "epoch 1",
        "step 7",
        "checkpoint 7",
        "step 8",
        "step 9",
        "interval 9 ",
        "step 10",
        "noise 10",
        "step 11",
        "step 12",
        "interval 12 ",
        "validation 0 of 20",
        "validation 16 of 20",
        "epoch 2",
        "test 0 of 37",
        "test 16 of 37",
        "test 32 of 37",
    ];
    assert_eq!(of_second.len(), expected.len(), "{of_second:?}");
    assert!(of_second.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{of_second:?}");
    for two in notes[..notes.len() - 1].chunks_exact(2) {
        assert_eq!((two[0].0, two[1].0), ("first", "second"), "{two:?}");
    }
}

/// Either can stop the run. Both get a checkpoint first.
fn either_of_a_pair_stops(gpu: &Gpu) {
    for (which, step) in [(0, 5), (1, 8)] {
        let ((mut first, mut second), notes) = pair();
        [&mut first, &mut second][which].stop_after = step;
        let stopped = run(gpu, &config(), &data(), &mut (first, second)).err();
        assert!(matches!(stopped, Some(Error::Interrupted(_))), "{stopped:?}");
        let notes = notes.take();
        let last = [("first", format!("checkpoint {step}")), ("second", format!("checkpoint {step}"))];
        assert_eq!(notes[notes.len() - 2..], last);
        assert!(
            notes.contains(&("second", format!("step {step}")))
                && !notes.contains(&("first", format!("step {}", step + 1)))
        );
    }
}

/// An error of either ends the run. The second observer does not get the event on which the first
/// one failed.
fn either_of_a_pair_fails(gpu: &Gpu) {
    for which in [0, 1] {
        let ((mut first, mut second), notes) = pair();
        [&mut first, &mut second][which].fail_at = 9;
        let failed = run(gpu, &config(), &data(), &mut (first, second)).err();
        let name = ["first", "second"][which];
        assert!(matches!(&failed, Some(Error::Failed(what)) if what.starts_with(name)), "{failed:?}");
        let last = notes.take().pop().unwrap();
        assert!(last.0 == name && last.1.starts_with("interval 9 "), "{last:?}");
    }
}

/// Files in memory have the bytes of the files in the directory of the run.
#[cfg(feature = "records")]
fn files_in_memory_are_those_on_disk(gpu: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let task = crate::training::task(&config(), data());
    let mut in_memory = RunFiles::default();
    assert!(in_memory.tables().iter().all(|(_, content)| content.is_empty()));
    let outcome = Trainer::of(gpu, task.clone()).observer(&mut in_memory).out(&out).run().unwrap();
    let results = pollster::block_on(RunFiles::results_async(&outcome, &*task.data.test)).unwrap();
    let files: Vec<_> = in_memory.tables().into_iter().chain(results).collect();
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    let expected = ["metrics.csv", "layers.csv", "speed.csv", "model.safetensors", "predictions.csv", "summary.json"];
    assert_eq!(names, expected);
    for (name, content) in files {
        assert!(content == std::fs::read(out.join(name)).unwrap(), "{name} differs");
    }
    assert_eq!(std::fs::read_to_string(out.join("config.toml")).unwrap(), config().to_toml());
}

pub fn tests() -> Vec<Test> {
    vec![
        #[cfg(feature = "records")]
        test("observers: files in memory are those on disk", files_in_memory_are_those_on_disk),
        test("observers: pairs get every event", pairs_get_every_event),
        test("observers: either of a pair stops", either_of_a_pair_stops),
        test("observers: either of a pair fails", either_of_a_pair_fails),
    ]
}
