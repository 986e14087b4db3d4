//! Models that a TOML file describes: what is refused, and where the fault is.

use crate::common::errors::assert_contains;
use crate::common::files::directory;
use crate::common::program::{assert_refused, stdout};

const HEAD: &str = "{ global-mean-pool = 'pool' },\n    { linear = 'fc', outputs = 'classes' },\n";

/// Refuses a file with these layers, with an error in this line that contains `names`.
#[track_caller]
fn refused(text: &str, line: usize, names: &[&str]) {
    let dir = directory(&[("net.toml", text)]);
    let path = dir.path().join("net.toml");
    let line = format!("line {line}: ");
    assert_refused(&["info", "--model", path.to_str().unwrap()], "net.toml", &[&[line.as_str()], names].concat());
}

/// [`refused`], for layers that begin in line 2.
#[track_caller]
fn refused_layers(layers: &str, line: usize, names: &[&str]) {
    refused(&format!("layers = [\n    {layers}]\n"), line, names);
}

#[test]
fn a_fault_is_named_with_layer_and_line() {
    let conv = "{ conv2d = 'conv1', channels = 8, kernel = 3, padding = 1 },\n    ";
    let with_conv = |layer: &str, names: &[&str]| refused_layers(&format!("{conv}{layer}\n"), 3, names);
    with_conv("{ conv = 'conv2', channels = 8 }", &["conv2d", "did you mean"]);
    with_conv("{ conv2d = 'conv1', channels = 8, kernel = 3 }", &["layer conv1", "same name"]);
    with_conv("{ conv2d = 'conv2', channel = 8, kernel = 3 }", &["layer conv2", "channel;", "channels"]);
    with_conv("{ conv2d = 'conv2', channels = 8 }", &["layer conv2", "kernel is missing"]);
    with_conv("{ conv2d = 'conv2', channels = 0, kernel = 3 }", &["channels", "1 to", "found 0"]);
    with_conv("{ conv2d = 'conv2', channels = 'wide', kernel = 3 }", &["channels", "wide"]);
    with_conv("{ conv2d = 'conv2', channels = 8, kernel = 1, padding = 1 }", &["padding", "less than the kernel"]);
    with_conv("{ conv2d = 'conv2', channels = 8, kernel = [3, 3, 3] }", &["kernel", "[height, width]"]);
    with_conv("{ conv2d = 'conv2', channels = 9, kernel = 3, groups = 3 }", &["3 groups", "8 and 9"]);
    with_conv("{ conv2d = 'conv2', channels = 9, kernel = 255 }", &["layer conv2", "255", "32"]);
    with_conv("{ conv2d = 'conv2', channels = 9, kernel = 3, from = 'conv3' }", &["conv3", "no layer before"]);
    with_conv("{ conv2d = 'a b', channels = 9, kernel = 3 }", &["conv2d", "a b"]);
    with_conv("{ conv2d = 'input', channels = 9, kernel = 3 }", &["input", "choose another"]);
    with_conv("{ batch-norm = 'bn1', activation = 'gelu' }", &["activation", "relu6", "gelu"]);
    with_conv("{ relu = 'relu1', gelu = 'gelu1' }", &["relu and gelu"]);
    with_conv("{ batch-norm = 'bn1', add = 'input' }", &["layer bn1", "[3, 32, 32]", "[8, 32, 32]"]);
    with_conv("{ add = 'sum', with = 'input' }", &["layer sum", "[3, 32, 32]"]);
    with_conv("{ max-pool = 'pool', kernel = 16 }", &["kernel", "1 to 15"]);
    with_conv("{ linear = 'fc', outputs = 'classes' }", &["layer fc", "[8, 32, 32]", "flatten"]);
    with_conv("{ dropout = 'drop', p = 1.0 }", &["layer drop", "less than 1"]);
    with_conv("{ flatten = 'flat' }", &["layer flat", "[8192]", "outputs = \"classes\""]);
    with_conv("{ block = 'b', use = 'basic' }", &["layer b", "[block.basic]"]);
    refused("layers = []\n", 1, &["at least one layer"]);
    refused("layers = [\n  { relu = 'a' }\n", 2, &["unclosed"]);
    refused("layer = []\n", 1, &["layer"]);
}

#[test]
fn a_fault_in_a_block_is_named_where_it_is_written() {
    let file = |use_of: &str, layer: &str, shortcut: &str| {
        format!(
            "layers = [\n    {{ block = 'b1', use = 'basic'{use_of} }},\n    {HEAD}]\n[block.basic]\nlayers = [\n    {layer},\n]\n\
             shortcut = [{shortcut}]\n"
        )
    };
    let conv = "{ conv2d = 'conv1', channels = 'width', kernel = 3, padding = 1 }";
    refused(&file("", conv, ""), 8, &["layer conv1", "channels", "width"]);
    refused(&file(", width = 'x'", conv, ""), 8, &["layer conv1", "found \"x\"", "argument"]);
    let sum = format!("{conv},\n    {{ add = 'sum', with = 'shortcut' }}");
    refused(&file(", width = 8", &sum, ""), 9, &["layer sum", "shortcut", "layers of its own"]);
    let wrong = "{ conv2d = '0', channels = 4, kernel = 1 }";
    refused(&file(", width = 8", &sum, wrong), 9, &["layer sum", "[4, 32, 32]", "[8, 32, 32]"]);
    refused(&file("", "{ block = 'b2', use = 'basic' }", ""), 8, &["layer b2", "part of a block"]);
    let right = "{ conv2d = '0', channels = 'width', kernel = 1 }";
    let dir = directory(&[("net.toml", file(", width = 8", &sum, right))]);
    let table = stdout(&["info", "--model", dir.path().join("net.toml").to_str().unwrap()]);
    assert_contains(&table, &["b1.conv1", "b1.shortcut.0"]);
}

/// Every operation, with shapes that can be computed by hand.
#[test]
fn every_operation_is_known() {
    let text = "layers = [
        { conv2d = 'conv1', channels = 8, kernel = [3, 5], stride = [1, 2], padding = [1, 2], bias = true },
        { batch-norm = 'bn1', activation = 'relu6' },
        { conv2d = 'conv2', norm = 'bn2', channels = 8, kernel = 3, padding = 1, groups = 8 },
        { concat = 'both', with = ['bn1'] },
        { mean-pool = 'mean', kernel = 2 },
        { max-pool = 'max', kernel = 3, stride = 2, padding = 1 },
        { gelu = 'gelu' },
        { relu = 'relu', from = 'max' },
        { add = 'sum', with = 'gelu' },
        { dropout = 'drop', p = 0.1 },
        { flatten = 'flat' },
        { linear = 'fc1', outputs = 20 },
        { linear = 'fc2', outputs = 'classes' },
    ]";
    let dir = directory(&[("net.toml", text)]);
    let path = dir.path().join("net.toml");
    let described = crate::common::program::json(&["info", "--json", "--model", path.to_str().unwrap()]);
    let layers = described["layers"].as_array().unwrap();
    let of = |name: &str| layers.iter().find(|layer| layer["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(of("conv1")["output"], "[64,8,32,16]");
    assert_eq!(of("conv2")["output"], "[64,8,32,16]");
    // 16 channels of 32x16, of 16x8, of 8x4.
    assert_eq!(of("fc1")["parameters"], 16 * 8 * 4 * 20 + 20);
    assert_eq!(of("fc2")["depth"], 4);
}

#[test]
fn the_files_of_the_zoo_describe_its_models() {
    for name in ["cnn", "lenet", "resnet8"] {
        let path = format!("{}/examples/models/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let [of_file, built_in] = [path.as_str(), name].map(|model| {
            let mut described = crate::common::program::json(&["info", "--json", "--model", model]);
            described["model"].take();
            described
        });
        assert_eq!(of_file, built_in, "{name}");
    }
}

#[test]
fn a_later_model_replaces_that_of_a_file() {
    let conv = "[model]\nname = 'net.toml'\nnet = '''layers = [\n{ flatten = 'x' }, { linear = 'only', outputs = 'classes' }]'''\n";
    let dir = directory(&[("run.toml", conv)]);
    let config = dir.path().join("run.toml");
    let layers = |options: &[&str]| stdout(&[&["schedule", "--config", config.to_str().unwrap()], options].concat());
    assert_contains(&layers(&[]), &["only"]);
    let built_in = layers(&["--model", "lenet"]);
    assert!(built_in.contains("fc3") && !built_in.contains("only"), "{built_in}");
    let file = format!("{}/examples/models/cnn.toml", env!("CARGO_MANIFEST_DIR"));
    assert_contains(&layers(&["--model", &file]), &["conv3"]);
    assert_refused(&["schedule", "--model", "nowhere.toml"], "nowhere.toml", &["cannot open"]);
}
