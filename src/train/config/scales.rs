//! Factors of the learning rates of some layers.

use crate::curriculum::Layer;
use crate::error::{Error, Result};
use glob::Pattern;

/// Layers that this many messages name; further ones are counted.
const MOST_NAMED: usize = 8;

/// Factors of the learning rates of layers whose names match a pattern. At 0 a layer is frozen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerScales(Vec<LayerScale>);

#[derive(Clone, Debug, PartialEq)]
struct LayerScale {
    /// The option, for messages.
    field: &'static str,
    pattern: Pattern,
    factor: f64,
}

impl LayerScales {
    /// The layers of `freeze` with factor 0, and those of `scales`, each `PATTERN=FACTOR`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid pattern or factor.
    pub(super) fn parse(freeze: &[String], scales: &[String]) -> Result<Self> {
        let mut parsed = vec![];
        for text in freeze {
            parsed.push(LayerScale { field: "freeze", pattern: pattern("freeze", text)?, factor: 0.0 });
        }
        for text in scales {
            let field = "learning_rate_scale";
            let bad =
                || Error::setting(field, format!("expected PATTERN=FACTOR with a factor of 0 or more, found {text}"));
            let (name, factor) = text.rsplit_once('=').ok_or_else(bad)?;
            let factor: f64 = factor.trim().parse().map_err(|_| bad())?;
            if !(factor >= 0.0 && (factor as f32).is_finite()) {
                return Err(bad());
            }
            parsed.push(LayerScale { field, pattern: pattern(field, name.trim())?, factor });
        }
        Ok(Self(parsed))
    }

    /// The factor of each layer: the product of those whose patterns match its name.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pattern that matches no layer, and if all layers are frozen.
    pub fn of(&self, layers: &[Layer]) -> Result<Vec<f64>> {
        let mut scales = vec![1.0; layers.len()];
        for LayerScale { field, pattern, factor } in &self.0 {
            let matching = (0..layers.len()).filter(|&i| pattern.matches(&layers[i].name));
            let matching: Vec<usize> = matching.collect();
            if matching.is_empty() {
                return Err(Error::setting(field, format!("no layer matches {pattern}; {}", names(layers))));
            }
            matching.into_iter().for_each(|i| scales[i] *= factor);
        }
        match scales.iter().all(|&scale| scale == 0.0) && !layers.is_empty() {
            true => Err(Error::setting("freeze", "all layers are frozen; leave one to train")),
            false => Ok(scales),
        }
    }
}

fn pattern(field: &'static str, text: &str) -> Result<Pattern> {
    Pattern::new(text).map_err(|fault| Error::setting(field, format!("{text:?} is not a pattern of names: {fault}")))
}

fn names(layers: &[Layer]) -> String {
    let named: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).take(MOST_NAMED).collect();
    let more = layers.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the layers are {}{rest}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::LayerScales;
    use crate::curriculum::Layer;
    use crate::error::{Error, Result};

    fn layers() -> Vec<Layer> {
        let names = ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1", "classifier"];
        names.iter().map(|name| Layer { name: (*name).to_owned(), depth: 1, block: 1 }).collect()
    }

    fn scales(freeze: &[&str], scales: &[&str]) -> Result<Vec<f64>> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        LayerScales::parse(&owned(freeze), &owned(scales))?.of(&layers())
    }

    #[test]
    fn factors_multiply_and_zero_freezes() {
        assert_eq!(scales(&[], &[]).unwrap(), [1.0; 4]);
        assert_eq!(scales(&["bert.*"], &[]).unwrap(), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(scales(&["bert.embeddings"], &["bert.encoder.layer.?=0.5", "*=10"]).unwrap(), [0.0, 5.0, 5.0, 10.0]);
        assert_eq!(scales(&[], &["classifier = 0"]).unwrap(), [1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_matches_nothing_is_an_error() {
        for (freeze, by, field) in [
            (&["bert"][..], &[][..], "freeze"),
            (&["*"], &[], "freeze"),
            (&["["], &[], "freeze"),
            (&[], &["layer1=0.5"], "learning_rate_scale"),
            (&[], &["bert.*"], "learning_rate_scale"),
            (&[], &["bert.*=-1"], "learning_rate_scale"),
            (&[], &["bert.*=1e300"], "learning_rate_scale"),
            (&[], &["bert.*=NaN"], "learning_rate_scale"),
            (&[], &["[=1"], "learning_rate_scale"),
        ] {
            match scales(freeze, by) {
                Err(Error::Setting { field: found, .. }) => assert_eq!(found, field, "{freeze:?} {by:?}"),
                other => panic!("{freeze:?} {by:?}: {other:?}"),
            }
        }
    }
}
