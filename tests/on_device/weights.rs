//! Weights as PyTorch leaves them.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, lerac, stderr};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// The tensors of `bytes` as f64 under names with `prefix`, and the counters of PyTorch.
fn as_torch_leaves_them(bytes: &[u8], prefix: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let doubles = |data: &[u8]| -> Vec<u8> {
        let floats = data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        floats.flat_map(|value| f64::from(value).to_le_bytes()).collect()
    };
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (format!("{prefix}{name}"), Dtype::F64, view.shape().to_vec(), doubles(view.data())))
        .collect();
    for counter in [&format!("{prefix}bn1.num_batches_tracked"), "n_averaged"] {
        tensors.push((counter.to_owned(), Dtype::I64, vec![], vec![3, 0, 0, 0, 0, 0, 0, 0]));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, header.metadata().clone()).unwrap()
}

/// Evaluates the run's `weights` again from files that differ in names, types and counters.
pub fn foreign_weights_are_read(dir: &Path, config: &str, weights: &str) {
    let eval = |file: &str| lerac(&["eval", "--json", "--config", config, "--init", file]);
    let (expected, bytes) = (eval(weights), std::fs::read(weights).unwrap());
    for prefix in ["", "module.", "module._orig_mod."] {
        let path = dir.join("foreign.safetensors");
        std::fs::write(&path, as_torch_leaves_them(&bytes, prefix)).unwrap();
        let found = eval(path.to_str().unwrap());
        assert_eq!(found.stdout, expected.stdout, "{prefix:?}: {}", stderr(&found));
        assert_contains(&stderr(&found), &["converted from F64 to F32"]);
        assert_eq!(stderr(&found).contains("the prefix"), !prefix.is_empty(), "{}", stderr(&found));
    }
    // Its name does not tell what it is.
    let archive = dir.join("archive.safetensors");
    std::fs::write(&archive, [b"PK\x03\x04", &[0; 26][..], b"archive/data.pkl", &[0; 90]].concat()).unwrap();
    let arguments = ["eval", "--config", config, "--init", archive.to_str().unwrap()];
    assert_refused(&arguments, "archive.safetensors", &["PyTorch archive", "torch.load(", "save_file("]);
}
