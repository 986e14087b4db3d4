//! The names of CvT in the published LeRaC code and in Hugging Face's transformers.

use super::Tensor;
use std::collections::BTreeSet;

/// A name that only CvT has.
const OF_CVT: &str = "stage0.patch_embed.proj.weight";

/// Parts of Hugging Face's names, and what they are in the original code. An earlier row comes
/// first, since a later one may be a part of it.
const PARTS: [(&str, &str); 14] = [
    ("embedding.convolution_embeddings.projection.", "patch_embed.proj."),
    ("embedding.convolution_embeddings.normalization.", "patch_embed.norm."),
    ("attention.attention.convolution_projection_query.convolution_projection.", "attn.conv_proj_q."),
    ("attention.attention.convolution_projection_key.convolution_projection.", "attn.conv_proj_k."),
    ("attention.attention.convolution_projection_value.convolution_projection.", "attn.conv_proj_v."),
    ("attention.attention.projection_query.", "attn.proj_q."),
    ("attention.attention.projection_key.", "attn.proj_k."),
    ("attention.attention.projection_value.", "attn.proj_v."),
    ("attention.output.dense.", "attn.proj."),
    ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."),
    ("layernorm_before.", "norm1."),
    ("layernorm_after.", "norm2."),
    ("layers.", "blocks."),
];

/// The name in the original code of a tensor in another one; the same name if it is neither.
fn original(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("norm_final.").or_else(|| name.strip_prefix("layernorm.")) {
        return format!("norm.{rest}");
    }
    if let Some(rest) = name.strip_prefix("classifier.") {
        return format!("head.{rest}");
    }
    let Some(rest) = name.strip_prefix("cvt.").unwrap_or(name).strip_prefix("encoder.stages.") else {
        return name.to_owned();
    };
    let renamed = PARTS.iter().fold(format!("stage{rest}"), |name, (part, new)| name.replacen(part, new, 1));
    match renamed.contains(".attn.conv_proj_") {
        true => renamed.replace(".convolution.", ".conv.").replace(".normalization.", ".bn."),
        false => renamed,
    }
}

/// Renames the tensors of a CvT that have the names of other programs. Returns how many.
pub(super) fn rename(tensors: &mut [Tensor], declared: &BTreeSet<&str>) -> usize {
    let mut renamed = 0;
    if !declared.contains(OF_CVT) {
        return renamed;
    }
    for tensor in tensors {
        let name = original(&tensor.name);
        if declared.contains(name.as_str()) && !declared.contains(tensor.name.as_str()) {
            (tensor.name, renamed) = (name, renamed + 1);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::{PARTS, original, rename};
    use crate::data::{Meaning, plain_form};
    use crate::nn::objective::{ObjectiveOptions, objective_for};
    use crate::nn::{self, NetOptions};
    use crate::tape::{Mode, Tape};
    use crate::train::Tensor;
    use std::collections::BTreeSet;

    /// All tensors of CvT-13.
    fn declared() -> Vec<String> {
        let form = plain_form([3, 32, 32], &Meaning::Classes(["a", "b"].map(str::to_owned).into()));
        let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
        let model = nn::named("cvt-13").unwrap();
        let tape = nn::record(&model, &form, &*objective, 1, Tape::new(Mode::Train), NetOptions::default()).tape;
        tape.parameters().iter().chain(tape.states()).map(|declared| declared.name.clone()).collect()
    }

    /// The name in Hugging Face's transformers.
    fn of_hugging_face(name: &str) -> String {
        let Some(rest) = name.strip_prefix("stage") else {
            return name.replace("norm.", "layernorm.").replace("head.", "classifier.");
        };
        let parts = PARTS.iter().rev();
        let named =
            parts.fold(rest.to_owned(), |name, (part, new)| name.replacen(&format!(".{new}"), &format!(".{part}"), 1));
        let named = named
            .replace("projection.conv.", "projection.convolution.")
            .replace("projection.bn.", "projection.normalization.");
        format!("cvt.encoder.stages.{named}")
    }

    #[test]
    fn all_tensors_of_each_program_become_those_of_the_model() {
        let names = declared();
        assert_eq!(names.len(), 342 + 78);
        let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let of_lerac = |name: &str| match name.strip_prefix("norm.") {
            Some(rest) => format!("norm_final.{rest}"),
            None => name.to_owned(),
        };
        let under = |way: &dyn Fn(&str) -> String| -> Vec<Tensor> {
            names.iter().map(|name| Tensor { name: way(name), shape: vec![1], values: vec![0.0] }).collect()
        };
        for (mut tensors, expected) in
            [(under(&str::to_owned), 0), (under(&of_lerac), 2), (under(&of_hugging_face), names.len())]
        {
            assert_eq!(rename(&mut tensors, &known), expected);
            let found: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(found, names);
        }
    }

    #[test]
    fn every_part_of_a_name_is_that_of_the_original() {
        let layer = "cvt.encoder.stages.2.layers.9";
        let of_query = "attention.attention.convolution_projection_query.convolution_projection";
        for (name, expected) in [
            ("norm_final.weight".to_owned(), "norm.weight"),
            ("layernorm.bias".to_owned(), "norm.bias"),
            ("classifier.weight".to_owned(), "head.weight"),
            ("cvt.encoder.stages.2.cls_token".to_owned(), "stage2.cls_token"),
            (
                "encoder.stages.0.embedding.convolution_embeddings.projection.bias".into(),
                "stage0.patch_embed.proj.bias",
            ),
            (
                "cvt.encoder.stages.1.embedding.convolution_embeddings.normalization.weight".into(),
                "stage1.patch_embed.norm.weight",
            ),
            (format!("{layer}.{of_query}.convolution.weight"), "stage2.blocks.9.attn.conv_proj_q.conv.weight"),
            (
                format!("{layer}.{of_query}.normalization.running_mean"),
                "stage2.blocks.9.attn.conv_proj_q.bn.running_mean",
            ),
            (format!("{layer}.attention.attention.projection_key.bias"), "stage2.blocks.9.attn.proj_k.bias"),
            (format!("{layer}.attention.output.dense.weight"), "stage2.blocks.9.attn.proj.weight"),
            (format!("{layer}.intermediate.dense.weight"), "stage2.blocks.9.mlp.fc1.weight"),
            (format!("{layer}.output.dense.bias"), "stage2.blocks.9.mlp.fc2.bias"),
            (format!("{layer}.layernorm_before.weight"), "stage2.blocks.9.norm1.weight"),
            (format!("{layer}.layernorm_after.weight"), "stage2.blocks.9.norm2.weight"),
            ("stage0.blocks.0.norm1.weight".to_owned(), "stage0.blocks.0.norm1.weight"),
            ("conv1.weight".to_owned(), "conv1.weight"),
        ] {
            assert_eq!(original(&name), expected);
        }
    }
}
