//! Image models that a TOML file describes: layers in order, blocks with shortcuts.

mod layers;
mod parse;
mod shapes;

use super::super::{Model, Net, Output};
use crate::data::{Form, Meaning};
use crate::error::{Error, Result};
use crate::tape::Var;
use layers::{Fault, Item, record};
use shapes::Shapes;
use std::path::{Path, PathBuf};

/// A model that a file describes.
pub struct FileModel {
    path: PathBuf,
    text: String,
    layers: Vec<Item>,
}

impl FileModel {
    /// Reads the description of a model; `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Format`] with the line and the layer at fault.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let layers = parse::parse(text).map_err(|fault| fault.in_file(path, text))?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), layers })
    }

    fn fault(&self, fault: &Fault) -> Error {
        fault.in_file(&self.path, &self.text)
    }
}

impl Fault {
    fn in_file(&self, path: &Path, text: &str) -> Error {
        let line = 1 + text[..self.offset].matches('\n').count();
        Error::format(path, self.offset as u64, format!("line {line}: {}", self.message))
    }
}

/// The number of outputs for the first target of the data.
fn outputs_for(form: &Form) -> usize {
    match form.targets.first().map(|target| &target.meaning) {
        Some(Meaning::Classes(names)) => names.len(),
        _ => 1,
    }
}

impl Model for FileModel {
    fn accepts(&self, form: &Form) -> Result<()> {
        let Some(pixels) = form.pixels() else {
            let message = format!("{} needs images, and the data have none", self.path.display());
            return Err(Error::setting("model", message));
        };
        let classes = outputs_for(form);
        let given = record(&mut Shapes, (&self.layers, classes), pixels.image.to_vec(), None);
        let given = given.map_err(|fault| self.fault(&fault))?;
        if given == [classes] {
            return Ok(());
        }
        let last = self.layers.last().expect("it was checked to have layers");
        let message = format!(
            "layer {}: the last layer gives {given:?}, the data need [{classes}]; end with \
             {{ linear = \"{}\", outputs = \"classes\" }}",
            last.name, last.name
        );
        Err(self.fault(&Fault { offset: last.offset, message }))
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let [output] = wanted else { panic!("a model of a file has one output, the objective needs {}", wanted.len()) };
        let x = net.pixels();
        match record(net, (&self.layers, output.width), x, None) {
            Ok(y) => vec![y],
            Err(fault) => panic!("{}", self.fault(&fault)),
        }
    }
}
