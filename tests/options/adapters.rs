//! The choice of an adapter.

use crate::common::errors::{Fault, assert_error};
use lerac::gpu::{AdapterChoice, AdapterInfo, AdapterKind, choose};

/// Adapters of these kinds, called `Card 0`, `Card 1`, ...
fn list(kinds: &[AdapterKind]) -> Vec<AdapterInfo> {
    let info = |(index, &kind): (usize, &AdapterKind)| AdapterInfo {
        index,
        name: format!("Card {index}"),
        kind,
        backend: "Vulkan".into(),
        driver: String::new(),
        timestamps: false,
        max_binding_bytes: 1,
        max_buffer_bytes: 1,
    };
    kinds.iter().enumerate().map(info).collect()
}

#[test]
fn discrete_goes_before_integrated_before_virtual_before_software() {
    use AdapterKind::{Discrete, Integrated, Software, Virtual};
    let best = [Discrete, Integrated, Virtual, Software];
    for from in 0..best.len() {
        let mut kinds = best[from..].to_vec();
        for _ in 0..kinds.len() {
            let list = list(&kinds);
            assert_eq!(choose(&list, &AdapterChoice::Auto).unwrap().kind, best[from], "{kinds:?}");
            kinds.rotate_left(1);
        }
    }
    let two = list(&[Software, Discrete, Discrete]);
    assert_eq!(choose(&two, &AdapterChoice::Auto).unwrap().index, 1, "the first of equals");
}

#[test]
fn vulkan_is_preferred_to_dx12_for_the_same_gpu() {
    for dx12 in 0..2 {
        let mut list = list(&[AdapterKind::Discrete, AdapterKind::Discrete]);
        list[dx12].backend = "Dx12".into();
        assert_eq!(choose(&list, &AdapterChoice::Auto).unwrap().backend, "Vulkan");
    }
}

#[test]
fn a_requested_adapter_is_preferred() {
    let list = list(&[AdapterKind::Discrete, AdapterKind::Software]);
    let chosen = |choice| choose(&list, &choice).map(|info| info.index);
    assert_eq!(chosen(AdapterChoice::Index(1)).unwrap(), 1);
    assert_eq!(chosen(AdapterChoice::Name("cARD 1".into())).unwrap(), 1);
    for absent in [AdapterChoice::Index(2), AdapterChoice::Name("Card 2".into())] {
        assert_error(chosen(absent), Fault::Adapter, &["1: Card 1 (Vulkan)"]);
    }
    assert_error(choose(&[], &AdapterChoice::Index(0)), Fault::Adapter, &[]);
}
