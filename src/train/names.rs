//! Names of tensors as other programs write them, changed to those of a model.

mod cvt;
mod yolov5;

pub(super) use yolov5::remove_anchors;

use super::Tensor;
use std::collections::BTreeSet;

/// Prefixes that PyTorch's wrappers put in front of all names: `DataParallel`,
/// `DistributedDataParallel` and `AveragedModel`, and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The prefix of an encoder in a model with a head. A file of the encoder alone lacks it.
const ENCODERS: [&str; 1] = ["bert."];

/// Heads of BERT's pre-training.
const PRETRAINING: [&str; 2] = ["cls.predictions.", "cls.seq_relationship."];

/// The names of layer normalisations in weights that were converted from TensorFlow, and today's.
const NORMS: [(&str, &str); 2] = [(".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias")];

/// Changes the names of tensors to those of a model, and removes tensors of pre-training. Returns
/// what was changed, a sentence each.
pub(super) fn adopt_names(tensors: &mut Vec<Tensor>, declared: &BTreeSet<&str>) -> Vec<String> {
    let removed = unwrap_names(tensors, declared);
    let mut notes = vec![];
    if !removed.is_empty() {
        notes.push(format!("the prefix {removed} was removed from all names"));
    }
    let of_cvt = cvt::rename(tensors, declared);
    if of_cvt > 0 {
        notes.push(format!("{of_cvt} tensors of a CvT were given the names of the original code"));
    }
    let norms = rename_norms(tensors, declared);
    let added = add_prefix(tensors, declared);
    if norms > 0 {
        notes.push(format!("{norms} tensors named gamma or beta were taken as weight and bias of LayerNorm"));
    }
    if let Some((prefix, count)) = added {
        notes.push(format!("the prefix {prefix} was added to {count} names"));
    }
    let left = remove_pretraining(tensors, declared);
    if left > 0 {
        notes.push(format!("{left} tensors of pre-training (cls.) were left"));
    }
    notes
}

/// Removes the prefixes of PyTorch's wrappers that all names have, unless names of the model begin
/// so too. Returns what was removed.
fn unwrap_names(tensors: &mut [Tensor], declared: &BTreeSet<&str>) -> String {
    let mut removed = String::new();
    let wraps = |tensors: &[Tensor], prefix: &str| {
        !tensors.is_empty()
            && tensors.iter().all(|tensor| tensor.name.len() > prefix.len() && tensor.name.starts_with(prefix))
            && !declared.iter().any(|name| name.starts_with(prefix))
    };
    while let Some(prefix) = WRAPPERS.into_iter().find(|prefix| wraps(tensors, prefix)) {
        tensors.iter_mut().for_each(|tensor| drop(tensor.name.drain(..prefix.len())));
        removed.push_str(prefix);
    }
    removed
}

/// Whether the model has a tensor of this name, with or without the prefix of an encoder.
fn is_known(declared: &BTreeSet<&str>, name: &str) -> bool {
    declared.contains(name) || ENCODERS.iter().any(|prefix| declared.contains(format!("{prefix}{name}").as_str()))
}

/// Renames gamma and beta of layer normalisations that the model has. Returns how many.
fn rename_norms(tensors: &mut [Tensor], declared: &BTreeSet<&str>) -> usize {
    let mut renamed = 0;
    for tensor in tensors {
        for (old, new) in NORMS {
            let Some(stem) = tensor.name.strip_suffix(old) else { continue };
            let name = format!("{stem}{new}");
            if !declared.contains(tensor.name.as_str()) && is_known(declared, &name) {
                (tensor.name, renamed) = (name, renamed + 1);
            }
        }
    }
    renamed
}

/// Adds the prefix of an encoder where the model has it and no name of the file does.
fn add_prefix(tensors: &mut [Tensor], declared: &BTreeSet<&str>) -> Option<(&'static str, usize)> {
    let prefix = ENCODERS.into_iter().find(|prefix| {
        declared.iter().any(|name| name.starts_with(prefix))
            && !tensors.iter().any(|tensor| tensor.name.starts_with(prefix))
    })?;
    let mut added = 0;
    for tensor in tensors {
        let name = format!("{prefix}{}", tensor.name);
        if declared.contains(name.as_str()) && !declared.contains(tensor.name.as_str()) {
            (tensor.name, added) = (name, added + 1);
        }
    }
    (added > 0).then_some((prefix, added))
}

/// Removes the heads of BERT's pre-training from the tensors of a model that has none. Returns how
/// many tensors.
fn remove_pretraining(tensors: &mut Vec<Tensor>, declared: &BTreeSet<&str>) -> usize {
    let is_bert = declared.iter().any(|name| ENCODERS.iter().any(|prefix| name.starts_with(prefix)));
    let before = tensors.len();
    tensors.retain(|tensor| {
        let pretrains = PRETRAINING.iter().any(|head| tensor.name.starts_with(head));
        !(is_bert && pretrains && !declared.contains(tensor.name.as_str()))
    });
    before - tensors.len()
}

#[cfg(test)]
mod tests {
    use super::adopt_names;
    use crate::train::Tensor;

    /// The changed names, and how many notes there are.
    fn adopted(names: &[&str], declared: &[&str]) -> (Vec<String>, usize) {
        let tensor = |name: &&str| Tensor { name: (*name).to_owned(), shape: vec![1], values: vec![0.0] };
        let mut found = names.iter().map(tensor).collect();
        let notes = adopt_names(&mut found, &declared.iter().copied().collect());
        (found.into_iter().map(|tensor| tensor.name).collect(), notes.len())
    }

    #[test]
    fn prefixes_of_wrappers_are_removed_in_any_order() {
        for prefix in ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."] {
            let names = ["a", "b.w"].map(|name| format!("{prefix}{name}"));
            let found = adopted(&[&names[0], &names[1]], &["a", "b.w"]);
            assert_eq!(found, (vec!["a".to_owned(), "b.w".to_owned()], 1), "{prefix}");
        }
    }

    #[test]
    fn other_names_keep_what_looks_like_a_prefix() {
        for (names, declared) in [
            (&["module.a", "b"][..], &["a", "b"][..]),
            (&["module.a", "module.b"], &["module.a"]),
            (&["modules.a"], &["a"]),
            (&["module."], &["a"]),
            (&[], &["a"]),
            (&["bert.a", "a.b"], &["bert.a", "bert.a.b"]),
            (&["a.LayerNorm.gamma"], &["a.LayerNorm.gamma", "a.LayerNorm.weight"]),
            (&["a.gamma"], &["a.weight"]),
            (&["cls.predictions.bias"], &["a"]),
            (&["cls.predictions.bias"], &["bert.a", "cls.predictions.bias"]),
            (&["cls.other"], &["bert.a"]),
        ] {
            assert_eq!(adopted(names, declared), (names.iter().map(ToString::to_string).collect(), 0));
        }
    }

    #[test]
    fn names_of_published_berts_are_adopted() {
        let declared = ["bert.x.LayerNorm.weight", "bert.x.LayerNorm.bias", "bert.y.weight", "classifier.weight"];
        let plain = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (names, expected, notes) in [
            (&["x.LayerNorm.gamma", "x.LayerNorm.beta", "y.weight"][..], &declared[..3], 2),
            (&["bert.x.LayerNorm.gamma", "bert.y.weight"], &["bert.x.LayerNorm.weight", "bert.y.weight"], 1),
            (
                &["module.y.weight", "module.classifier.weight", "module.cls.seq_relationship.bias"],
                &["bert.y.weight", "classifier.weight"],
                3,
            ),
        ] {
            assert_eq!(adopted(names, &declared), (plain(expected), notes));
        }
    }
}
