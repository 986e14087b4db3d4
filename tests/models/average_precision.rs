//! Average precision against pycocotools, and against YOLOv5's and PASCAL VOC's measures.
//! `tests/golden/make_average_precision.py` made the numbers.

use lerac::nn::objective::{Detection, Judged, Truth, VocArea, coco, voc, yolov5};
use serde_json::Value;

fn corners(value: &Value) -> [f32; 4] {
    std::array::from_fn(|i| value["box"][i].as_f64().unwrap() as f32)
}

fn class(value: &Value) -> usize {
    value["class"].as_u64().unwrap() as usize
}

fn judged(image: &Value) -> Judged {
    let found = |value: &Value| Detection {
        class: class(value),
        confidence: value["confidence"].as_f64().unwrap() as f32,
        corners: corners(value),
    };
    let truth = |value: &Value| Truth {
        class: class(value),
        corners: corners(value),
        difficult: value["difficult"].as_bool().unwrap(),
    };
    let all = |key: &str| image[key].as_array().unwrap().clone();
    Judged { found: all("found").iter().map(found).collect(), truths: all("objects").iter().map(truth).collect() }
}

/// Compares the values of each class; `None` is `null` in the file.
fn compare(name: &str, found: Vec<Option<Vec<f64>>>, expected: &Value) {
    assert_eq!(found.len(), expected.as_array().unwrap().len(), "{name}");
    for (class, (found, expected)) in found.into_iter().zip(expected.as_array().unwrap()).enumerate() {
        let expected: Option<Vec<f64>> = match expected {
            Value::Null => None,
            Value::Array(values) => Some(values.iter().map(|value| value.as_f64().unwrap()).collect()),
            value => Some(vec![value.as_f64().unwrap()]),
        };
        assert_eq!(found.is_some(), expected.is_some(), "{name} of class {class}");
        for (i, (found, expected)) in found.into_iter().flatten().zip(expected.into_iter().flatten()).enumerate() {
            assert!((found - expected).abs() < 1e-6, "{name} of class {class}, {i}: {found} for {expected}");
        }
    }
}

#[test]
fn measures_are_those_of_their_sources() {
    let text = include_str!("../golden/average_precision.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= 5);
    for case in &cases {
        let images: Vec<Judged> = case["images"].as_array().unwrap().iter().map(judged).collect();
        let classes = class(&serde_json::json!({"class": case["classes"]}));
        let all = |values: Vec<Option<[f64; 10]>>| values.into_iter().map(|ap| ap.map(|ap| ap.to_vec())).collect();
        compare("yolov5", all(yolov5(&images, classes)), &case["yolov5"]);
        compare("coco", all(coco(&images, classes)), &case["coco"]);
        for (key, area) in [("voc2007", VocArea::ElevenPoints), ("voc", VocArea::Exact)] {
            let found = voc(&images, classes, area).into_iter().map(|ap| ap.map(|ap| vec![ap])).collect();
            compare(key, found, &case[key]);
        }
    }
}

#[test]
fn the_best_detections_are_perfect_and_none_are_worth_nothing() {
    let truth = |class, at: f32| Truth { class, corners: [at, 0.0, at + 10.0, 10.0], difficult: false };
    let truths = vec![truth(0, 0.0), truth(0, 20.0), truth(1, 40.0)];
    let detection = |truth: &Truth| Detection { class: truth.class, confidence: 0.9, corners: truth.corners };
    let perfect = [Judged { found: truths.iter().map(detection).collect(), truths: truths.clone() }];
    let none = [Judged { found: vec![], truths }];
    for (images, expected) in [(&perfect, 1.0), (&none, 0.0)] {
        for measured in [yolov5(images, 3), coco(images, 3)] {
            let values: Vec<Option<f64>> =
                measured.iter().map(|ap| ap.map(|ap| ap.iter().sum::<f64>() / 10.0)).collect();
            assert!(values[2].is_none());
            values.iter().flatten().for_each(|&value| approx::assert_relative_eq!(value, expected, epsilon = 6e-3));
        }
        for area in [VocArea::ElevenPoints, VocArea::Exact] {
            let values = voc(images, 3, area);
            values.iter().flatten().for_each(|&value| approx::assert_relative_eq!(value, expected, epsilon = 1e-12));
            assert_eq!(values.iter().flatten().count(), 2);
        }
    }
}
