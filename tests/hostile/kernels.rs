//! Files of tuned kernels.

use crate::checkpoints::JSON;
use crate::harness::{Limit, SMALL, Subject, read_at, run, tokens};
use lerac::study::KernelCache;

/// Tuned kernels: an operation with a short name takes a few bytes in the file, and a node of a
/// tree.
const KERNELS: Limit = Limit { multiple: 64, constant: SMALL };

#[test]
fn tuned_kernels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernels.json");
    let device = |adapter: &str| {
        serde_json::json!({
            "adapter": adapter,
            "backend": "Vulkan",
            "driver": "some \"driver\"",
            "lerac": "0.1.0 deadbeef",
            "kernels": { "linear forward [1,1] x [1,1]": "registers", "conv2d dw": "wide", "conv2d dx": "depthwise" },
        })
    };
    let seeds = [vec![], vec![device("one")], vec![device("one"), device("two")]];
    let seeds = seeds.map(|devices| serde_json::to_vec_pretty(&devices).unwrap()).into();
    let mut words = tokens(&JSON[..17]);
    words.extend(tokens(&["\"adapter\"", "\"driver\"", "\"kernels\"", "\"shared\"", "\"wide\"", "\"other\""]));
    let subject = Subject { name: "tuned kernels", seeds, tokens: words, limit: KERNELS, file: <[u8]>::to_vec };
    let parse = |bytes: &[u8]| read_at(&path, bytes, KernelCache::read);
    run(subject, parse, |read| {
        read.clone().write().unwrap();
        assert_eq!(KernelCache::read(&path).expect("what was written is read"), read);
    });
}
