//! The files of a run: `config.toml`, `metrics.csv`, `layers.csv`, `curves.png`, `rates.png`, `effective.png`,
//! `predictions.csv`, `model.safetensors`, and `summary.json`, which is written last.

use super::plots::{self, HeatMap, Panel, Series};
use crate::curriculum::Layer;
use crate::error::{Error, Result};
use crate::optim::LayerNorms;
use crate::train::{
    Config, EpochRecord, IntervalRecord, NoiseRecord, Observer, Outcome, SessionPlan, write_safetensors, write_whole,
};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A row of `metrics.csv`: of an interval, or of an epoch.
#[derive(serde::Serialize)]
struct MetricsRow<'a> {
    kind: &'a str,
    step: u64,
    epoch: f64,
    train_loss: f64,
    train_accuracy: f64,
    validation_loss: Option<f64>,
    validation_accuracy: Option<f64>,
    images_per_second: Option<f64>,
}

/// A row of `layers.csv`: what the last step of an interval did to a layer.
#[derive(serde::Serialize)]
struct LayerRow<'a> {
    step: u64,
    epoch: f64,
    depth: usize,
    layer: &'a str,
    learning_rate: f64,
    gradient_norm: f64,
    update_norm: f64,
    weight_norm: f64,
    effective_rate: f64,
}

/// A row of `noise.csv`.
#[derive(serde::Serialize)]
struct NoiseRow<'a> {
    step: u64,
    epoch: f64,
    depth: usize,
    layer: &'a str,
    signal_to_noise: f64,
}

/// A row of `predictions.csv`.
#[derive(serde::Serialize)]
struct PredictionRow {
    image: usize,
    label: u32,
    prediction: u32,
}

/// A directory being filled by a run.
pub struct RunDir {
    dir: PathBuf,
    metrics: csv::Writer<File>,
    layer_rates: csv::Writer<File>,
    layers: Vec<Layer>,
    intervals: Vec<IntervalRecord>,
    epochs: Vec<EpochRecord>,
    noise: Vec<NoiseRecord>,
}

fn csv_error(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::Io { path, action: "write", source },
        other => Error::option(path.display().to_string(), format!("{other:?}")),
    }
}

impl RunDir {
    /// Makes `dir` and writes the resolved configuration.
    ///
    /// # Errors
    /// [`Error::Io`] where the directory cannot be made or written; [`Error::Option`] where it holds a finished run.
    pub fn create(dir: &Path, config: &Config) -> Result<Self> {
        Self::check_free(dir)?;
        config.check_storable()?;
        fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        let text = toml::to_string(config).expect("every option has a TOML form");
        write_whole(&dir.join("config.toml"), text.as_bytes())?;
        let table = |name: &str| {
            let path = dir.join(name);
            csv::Writer::from_path(&path).map_err(csv_error(&path))
        };
        Ok(Self {
            metrics: table("metrics.csv")?,
            layer_rates: table("layers.csv")?,
            dir: dir.to_owned(),
            layers: vec![],
            intervals: vec![],
            epochs: vec![],
            noise: vec![],
        })
    }

    /// Whether a run may be written into `dir`.
    ///
    /// # Errors
    /// [`Error::Option`] where it holds a finished run.
    pub fn check_free(dir: &Path) -> Result<()> {
        match dir.join("summary.json").exists() {
            false => Ok(()),
            true => {
                let message = format!("{} holds a finished run; choose another directory or remove it", dir.display());
                Err(Error::option("--out", message))
            }
        }
    }

    fn write_row(&mut self, row: &MetricsRow<'_>) -> Result<()> {
        let path = self.dir.join("metrics.csv");
        self.metrics.serialize(row).map_err(csv_error(&path))?;
        self.metrics.flush().map_err(Error::io(&path, "write"))
    }

    /// Writes weights, pictures and, once all else is there, the summary.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be written.
    pub fn finish(self, outcome: &Outcome<'_>, method: &str) -> Result<()> {
        let session = &outcome.session;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        write_safetensors(
            &self.dir.join("model.safetensors"),
            session.storage(),
            &session.snapshot()?.tensors,
            metadata,
        )?;
        let mut predictions = csv::Writer::from_writer(vec![]);
        for (image, &(label, prediction)) in outcome.predictions.iter().enumerate() {
            let row = PredictionRow { image, label, prediction };
            predictions.serialize(row).expect("a vector takes every row");
        }
        let predictions = predictions.into_inner().expect("a vector needs no flush");
        write_whole(&self.dir.join("predictions.csv"), &predictions)?;
        plots::curves(&self.dir.join("curves.png"), &self.panels())?;
        let rates = self.intervals.iter().map(|record| (record.epoch, record.rates.as_slice()));
        let map = self.map(format!("Learning rates under {method}"), "learning rate", rates);
        plots::heat_map(&self.dir.join("rates.png"), &map)?;
        let effective: Vec<(f64, Vec<f64>)> = self
            .intervals
            .iter()
            .map(|record| (record.epoch, record.norms.iter().map(LayerNorms::effective_rate).collect()))
            .collect();
        let effective = effective.iter().map(|(epoch, rates)| (*epoch, rates.as_slice()));
        let map = self.map(format!("Effective rates under {method}"), "|update| / |weight|", effective);
        plots::heat_map(&self.dir.join("effective.png"), &map)?;
        if !self.noise.is_empty() {
            self.write_noise(method)?;
        }
        let json = serde_json::to_string_pretty(&outcome.summary).expect("a summary is plain data");
        write_whole(&self.dir.join("summary.json"), json.as_bytes())
    }

    /// Writes `noise.csv` and `noise.png`.
    fn write_noise(&self, method: &str) -> Result<()> {
        let mut rows = csv::Writer::from_writer(vec![]);
        for record in &self.noise {
            for (layer, &signal_to_noise) in self.layers.iter().zip(&record.signal_to_noise) {
                let (depth, layer) = (layer.depth, layer.name.as_str());
                let row = NoiseRow { step: record.step, epoch: record.epoch, depth, layer, signal_to_noise };
                rows.serialize(row).expect("a vector takes every row");
            }
        }
        write_whole(&self.dir.join("noise.csv"), &rows.into_inner().expect("a vector needs no flush"))?;
        let points = self.noise.iter().map(|record| (record.epoch, record.signal_to_noise.as_slice()));
        let title = format!("Gradient signal-to-noise ratio under {method}");
        plots::heat_map(&self.dir.join("noise.png"), &self.map(title, "|mean|^2 / variance", points))
    }

    /// A value of each layer over epochs.
    fn map<'p>(&self, title: String, label: &str, points: impl Iterator<Item = (f64, &'p [f64])>) -> HeatMap {
        let (x, columns): (Vec<f64>, Vec<&[f64]>) = points.unzip();
        HeatMap {
            title,
            rows: self.layers.iter().map(|layer| layer.name.clone()).collect(),
            x_label: "epoch".into(),
            x,
            values: (0..self.layers.len()).map(|i| columns.iter().map(|column| column[i]).collect()).collect(),
            value_label: label.into(),
        }
    }

    /// Loss and accuracy over epochs.
    fn panels(&self) -> [Panel; 2] {
        let panel = |title: &str, train: fn(&IntervalRecord) -> f64, validation: fn(&EpochRecord) -> Option<f64>| {
            let train = self.intervals.iter().map(|r| (r.epoch, train(r))).collect();
            let held_out: Vec<_> = self.epochs.iter().filter_map(|r| Some((r.epoch as f64, validation(r)?))).collect();
            let mut series = vec![Series { label: "training".into(), points: train, ..Default::default() }];
            if !held_out.is_empty() {
                series.push(Series { label: "validation".into(), points: held_out, ..Default::default() });
            }
            let (x_label, y_label) = ("epoch".into(), title.to_lowercase());
            Panel { title: title.into(), x_label, y_label, log_x: false, log_y: false, series }
        };
        [
            panel("Loss", |r| r.train_loss, |r| r.validation_loss),
            panel("Accuracy", |r| r.train_accuracy, |r| r.validation_accuracy),
        ]
    }
}

impl Observer for RunDir {
    fn begin(&mut self, _plan: &SessionPlan, layers: &[Layer], _steps: u64) -> Result<()> {
        self.layers = layers.to_vec();
        Ok(())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        let path = self.dir.join("layers.csv");
        // The rates are those of the interval's last step, which began one step earlier than the interval ends.
        let step = record.step - 1;
        let epoch = record.epoch * step as f64 / record.step as f64;
        for ((layer, &rate), norms) in self.layers.iter().zip(&record.rates).zip(&record.norms) {
            let row = LayerRow {
                step,
                epoch,
                depth: layer.depth,
                layer: &layer.name,
                learning_rate: rate,
                gradient_norm: norms.gradient,
                update_norm: norms.update,
                weight_norm: norms.weight,
                effective_rate: norms.effective_rate(),
            };
            self.layer_rates.serialize(row).map_err(csv_error(&path))?;
        }
        self.layer_rates.flush().map_err(Error::io(&path, "write"))?;
        self.write_row(&MetricsRow {
            kind: "interval",
            step: record.step,
            epoch: record.epoch,
            train_loss: record.train_loss,
            train_accuracy: record.train_accuracy,
            validation_loss: None,
            validation_accuracy: None,
            images_per_second: Some(record.images_per_second),
        })?;
        self.intervals.push(record.clone());
        Ok(())
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        self.noise.push(record.clone());
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.epochs.push(*record);
        self.write_row(&MetricsRow {
            kind: "epoch",
            step: record.step,
            epoch: record.epoch as f64,
            train_loss: record.train_loss,
            train_accuracy: record.train_accuracy,
            validation_loss: record.validation_loss,
            validation_accuracy: record.validation_accuracy,
            images_per_second: None,
        })
    }
}
