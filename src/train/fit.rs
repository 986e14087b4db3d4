//! Which tensors of a file fit a model.

use super::Tensor;
use crate::tensor::Shape;
use std::collections::BTreeMap;

/// Most names in a sentence; further ones are counted. Lists of `init_partial` are complete.
const MOST_NAMED: usize = 5;

/// The tensors of a file held against those of a model, by name, each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// In both, with the same shape.
    pub taken: Vec<String>,
    /// In both, with different shapes: name, shape in the file, shape in the model.
    pub other_shape: Vec<(String, Shape, Shape)>,
    /// Only in the model.
    pub absent: Vec<String>,
    /// Only in the file.
    pub beyond: Vec<String>,
}

impl Fit {
    /// Compares the tensors of a file with the names and shapes of a model's tensors.
    pub(super) fn of<'d>(tensors: &[Tensor], declared: impl Iterator<Item = (&'d str, &'d Shape)>) -> Self {
        let mut found: BTreeMap<&str, &Tensor> = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut fit = Self::default();
        for (name, shape) in declared.collect::<BTreeMap<_, _>>() {
            let name_of = || name.to_owned();
            match found.remove(name) {
                Some(tensor) if tensor.shape == shape.dims() => fit.taken.push(name_of()),
                Some(tensor) => fit.other_shape.push((name_of(), tensor.shape.clone().into(), shape.clone())),
                None => fit.absent.push(name_of()),
            }
        }
        fit.beyond = found.into_keys().map(str::to_owned).collect();
        fit
    }

    /// Whether all that is missing is the head called `head`, of which the file has nothing.
    pub(super) fn lacks_only(&self, head: &str) -> bool {
        let of_head = |name: &String| name.split('.').next() == Some(head);
        !self.absent.is_empty()
            && self.absent.iter().all(of_head)
            && self.other_shape.is_empty()
            && !self.beyond.iter().any(of_head)
    }

    /// Whether only tensors whose names begin with `head` differ, and they do so in their shape.
    pub(super) fn differs_only_in(&self, head: &str) -> bool {
        !self.other_shape.is_empty()
            && self.absent.is_empty()
            && self.beyond.is_empty()
            && self.other_shape.iter().all(|(name, ..)| name.starts_with(head))
    }

    /// The table of word embeddings, if it has another number of rows in the file: its name, the
    /// rows in the file and those in the model.
    pub(super) fn other_vocabulary(&self) -> Option<(&str, usize, usize)> {
        let of_words = |name: &str| name.ends_with("word_embeddings.weight") || name == "embedding.weight";
        let (name, file, model) = self.other_shape.iter().find(|(name, ..)| of_words(name))?;
        match (file.dims(), model.dims()) {
            (&[rows, width], &[tokens, same]) if width == same => Some((name, rows, tokens)),
            _ => None,
        }
    }

    /// Whether every tensor of the model is taken.
    pub fn is_complete(&self) -> bool {
        self.other_shape.is_empty() && self.absent.is_empty()
    }

    /// What differs, in a sentence without a full stop; empty if nothing does.
    pub fn differences(&self) -> String {
        let shapes: Vec<_> = self
            .other_shape
            .iter()
            .map(|(name, file, model)| format!("{name} is {file} in the file and {model} in the model"))
            .collect();
        let lists = [
            (shapes, ""),
            (self.absent.clone(), "in the model, but not in the file: "),
            (self.beyond.clone(), "in the file, but not in the model: "),
        ];
        let parts = lists.into_iter().filter(|(names, _)| !names.is_empty());
        parts.map(|(names, title)| format!("{title}{}", first_of(&names))).collect::<Vec<_>>().join("; ")
    }

    /// All that was taken and left, for a note about `init_partial`.
    pub(super) fn in_words(&self) -> String {
        let shapes: Vec<_> =
            self.other_shape.iter().map(|(name, file, model)| format!("{name} ({file}, needed {model})")).collect();
        let lists = [
            ("of another shape, so they start at random values", &shapes),
            ("not in the file, so they start at random values", &self.absent),
            ("in the file only", &self.beyond),
            ("taken", &self.taken),
        ];
        let parts = lists.iter().filter(|(_, names)| !names.is_empty());
        let parts = parts.map(|(title, names)| format!("{} {title}: {}", names.len(), names.join(", ")));
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// The first names, and how many follow.
fn first_of(names: &[String]) -> String {
    let first = names[..names.len().min(MOST_NAMED)].join(", ");
    match names.len().checked_sub(MOST_NAMED) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::Fit;
    use crate::tensor::Shape;
    use crate::train::Tensor;

    fn tensors(named: &[(&str, &[usize])]) -> Vec<Tensor> {
        let tensor = |(name, shape): &(&str, &[usize])| Tensor {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
        };
        named.iter().map(tensor).collect()
    }

    #[test]
    fn a_file_is_held_against_a_model() {
        let file = tensors(&[("z", &[1]), ("head", &[10, 4]), ("b", &[2]), ("a", &[3]), ("c", &[])]);
        let model: [(&str, Shape); 4] =
            [("new", [7].into()), ("head", [2, 4].into()), ("b", [2].into()), ("a", [3].into())];
        let fit = Fit::of(&file, model.iter().map(|(name, shape)| (*name, shape)));
        assert_eq!(fit.taken, ["a", "b"]);
        assert_eq!(fit.other_shape, [("head".to_owned(), [10, 4].into(), [2, 4].into())]);
        assert_eq!(
            (&fit.absent[..], &fit.beyond[..]),
            (&["new".to_owned()][..], &["c".to_owned(), "z".to_owned()][..])
        );
        assert!(!fit.is_complete());
        let words = fit.in_words();
        for part in ["2 taken: a, b", "head ([10,4], needed [2,4])", "1 not in the file", ": new", ": c, z"] {
            assert!(words.contains(part), "{part:?} is not in {words:?}");
        }
        let differences = fit.differences();
        for part in ["head is [10,4] in the file and [2,4] in the model", ": new", ": c, z"] {
            assert!(differences.contains(part), "{part:?} is not in {differences:?}");
        }
    }

    #[test]
    fn a_missing_head_is_told_from_other_gaps() {
        let fit = |absent: &[&str], beyond: &[&str]| Fit {
            absent: absent.iter().map(ToString::to_string).collect(),
            beyond: beyond.iter().map(ToString::to_string).collect(),
            ..Fit::default()
        };
        assert!(fit(&["classifier.bias", "classifier.weight"], &[]).lacks_only("classifier"));
        for (absent, beyond) in [
            (&["classifier.bias"][..], &["classifier.w"][..]),
            (&["classifiers.bias"], &[]),
            (&["classifier.bias", "a"], &[]),
            (&[], &[]),
        ] {
            assert!(!fit(absent, beyond).lacks_only("classifier"), "{absent:?} {beyond:?}");
        }
    }

    #[test]
    fn a_head_for_other_classes_is_told_from_other_differences() {
        let other = |names: &[&str]| Fit {
            other_shape: names.iter().map(|name| (name.to_string(), [1].into(), [2].into())).collect(),
            ..Fit::default()
        };
        assert!(other(&["model.24.m.0.weight", "model.24.m.2.bias"]).differs_only_in("model.24.m."));
        for fit in [
            other(&["model.24.m.0.weight", "model.0.conv.weight"]),
            other(&[]),
            Fit { absent: vec!["model.24.m.0.bias".into()], ..other(&["model.24.m.0.weight"]) },
            Fit { beyond: vec!["a".into()], ..other(&["model.24.m.0.weight"]) },
        ] {
            assert!(!fit.differs_only_in("model.24.m."), "{fit:?}");
        }
    }

    #[test]
    fn long_lists_are_cut_in_errors_and_whole_in_notes() {
        let names: Vec<String> = (0..8).map(|i| format!("n{i}")).collect();
        let fit = Fit { absent: names.clone(), ..Fit::default() };
        assert!(fit.differences().ends_with("n0, n1, n2, n3, n4 and 3 more"), "{}", fit.differences());
        assert!(fit.in_words().ends_with(&names.join(", ")), "{}", fit.in_words());
        assert_eq!(Fit::default().differences(), "");
    }
}
