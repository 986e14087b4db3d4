//! Files of weights as other programs leave them: other formats, and other types of numbers.

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

/// The first bytes of formats that are taken for weights, and their names.
const FORMATS: [(&[u8], &str); 5] = [
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras); export its arrays with safetensors.numpy.save_file"),
    (b"GGUF", "a GGUF file; convert it to safetensors"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the weights; run `git lfs pull`"),
    (b"<!DOCTYPE", "a page of HTML, not the weights; download the file itself"),
    (b"<html", "a page of HTML, not the weights; download the file itself"),
];

/// Bytes at each end of a zip archive that are searched for the names of its files.
const DIRECTORY: usize = 1 << 16;

/// Two lines of Python that convert a PyTorch file.
const CONVERSION: &str = "\
a PyTorch archive, not safetensors. In Python:
  import torch; from safetensors.torch import save_file
  save_file(torch.load(\"FILE\", map_location=\"cpu\"), \"weights.safetensors\")
where the archive holds more than a state dict, pick it (usually [\"state_dict\"] or [\"model\"]); a whole module: .state_dict()";

/// What a file is that is not safetensors, and what to do; `None` if that is not known.
pub(super) fn format_of(bytes: &[u8]) -> Option<String> {
    // Since version 1.6 torch.save writes a zip archive; before, and as legacy, a pickle of
    // protocol 2 and a number of ten bytes.
    let zip = bytes.starts_with(b"PK\x03\x04");
    let ends = [&bytes[..bytes.len().min(DIRECTORY)], &bytes[bytes.len().saturating_sub(DIRECTORY)..]];
    let names = |name: &[u8]| ends.iter().any(|end| end.windows(name.len()).any(|window| window == name));
    if (zip && names(b"data.pkl")) || bytes.starts_with(b"\x80\x02\x8a\x0a") {
        return Some(CONVERSION.to_owned());
    }
    if zip {
        return Some(
            "a zip archive, not safetensors; unpack it (NumPy's .npz: safetensors.numpy.save_file)".to_owned(),
        );
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Some("a Python pickle, not safetensors; save its tensors with safetensors.torch.save_file".to_owned());
    }
    FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, what)| (*what).to_owned())
}

/// Whether a tensor counts something and is no weight: batches seen by a batch norm, models
/// averaged by `AveragedModel`, and the positions 0, 1, 2, ... of a BERT.
pub(super) fn is_counter(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged" | "position_ids"))
}

/// The values of a tensor as f32; `None` if its numbers are of a type that has no fractions.
pub(super) fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let pairs = || data.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match view.dtype() {
        Dtype::F32 => Some(bytemuck::pod_collect_to_vec(data)),
        Dtype::F16 => Some(pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect()),
        Dtype::F64 => {
            let values = data.chunks_exact(8).map(|bytes| bytes.try_into().expect("eight bytes"));
            Some(values.map(|bytes| f64::from_le_bytes(bytes) as f32).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{floats, format_of, is_counter};
    use safetensors::tensor::{Dtype, TensorView};

    fn converted(dtype: Dtype, bytes: &[u8], count: usize) -> Option<Vec<f32>> {
        floats(&TensorView::new(dtype, vec![count], bytes).unwrap())
    }

    /// Bits from IEEE 754 and of bfloat16: 1.5, -2, a subnormal number, the largest number.
    #[test]
    fn every_type_with_fractions_is_converted() {
        let halves = [0x3e00u16, 0xc000, 0x0001, 0x7bff].map(u16::to_le_bytes).concat();
        assert_eq!(converted(Dtype::F16, &halves, 4).unwrap(), [1.5, -2.0, 5.960_464_5e-8, 65504.0]);
        let brains = [0x3fc0u16, 0xc000, 0x0001, 0x7f7f].map(u16::to_le_bytes).concat();
        let largest = f32::from_bits(0x7f7f_0000);
        assert_eq!(converted(Dtype::BF16, &brains, 4).unwrap(), [1.5, -2.0, f32::from_bits(0x0001_0000), largest]);
        let doubles = [1.5f64, -2.0, 0.1, 1e300].map(f64::to_le_bytes).concat();
        assert_eq!(converted(Dtype::F64, &doubles, 4).unwrap(), [1.5, -2.0, 0.1, f32::INFINITY]);
        let singles = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
        assert_eq!(converted(Dtype::F32, &singles, 2).unwrap(), [1.5, -2.0]);
        for dtype in [Dtype::I64, Dtype::I32, Dtype::U8, Dtype::BOOL, Dtype::F8_E4M3] {
            assert_eq!(converted(dtype, &[0; 8][..dtype.bitsize() / 8], 1), None, "{dtype:?}");
        }
    }

    #[test]
    fn other_formats_are_named() {
        let zip = |names: &str| [b"PK\x03\x04", &[0; 26][..], names.as_bytes(), &[0; 90]].concat();
        let big = [zip("a/version"), vec![0; 200_000], b"archive/data.pkl".to_vec()].concat();
        for (bytes, names) in [
            (zip("archive/data.pkl"), &["PyTorch archive", "torch.load(", "save_file("][..]),
            (zip("my_model/data.pkl"), &["PyTorch archive"]),
            (big, &["PyTorch archive"]),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), &["PyTorch archive"]),
            (zip("weight.npy"), &["zip", "npz"]),
            (b"\x80\x04\x95abc".to_vec(), &["pickle"]),
            (b"\x89HDF\r\n\x1a\nabc".to_vec(), &["HDF5"]),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), &["git lfs pull"]),
            (b"<!DOCTYPE html>".to_vec(), &["HTML"]),
        ] {
            let found = format_of(&bytes).expect("a known format");
            names.iter().for_each(|name| assert!(found.contains(name), "{name:?} is not in {found:?}"));
        }
        for bytes in [&b""[..], b"\x80", b"PK", b"\x10\0\0\0\0\0\0\0{}"] {
            assert_eq!(format_of(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn counters_are_told_from_weights() {
        assert!(
            ["bn1.num_batches_tracked", "num_batches_tracked", "n_averaged", "bert.embeddings.position_ids"]
                .into_iter()
                .all(is_counter)
        );
        assert!(!["bn1.weight", "num_batches_tracked.weight", "n_averaged_x"].into_iter().any(is_counter));
    }
}
