//! Recipes: named settings of published experiments and of a first example. Each is a file in
//! `recipes/` that is built into the program.

/// A recipe's name and text.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! recipes {
    ($($name:literal),+ $(,)?) => {
        &[$(Recipe { name: $name, text: include_str!(concat!("../../recipes/", $name, ".toml")) }),+]
    };
}

/// All recipes.
pub(super) const RECIPES: &[Recipe] = recipes![
    "shapes",
    "resnet18-cifar10",
    "resnet18-cifar100",
    "resnet18-tiny_imagenet",
    "resnet18-imagenet_200",
    "resnet18-food_101",
    "wide_resnet-cifar10",
    "wide_resnet-cifar100",
    "wide_resnet-tiny_imagenet",
    "wide_resnet-food_101",
    "bert-boolq",
    "bert-qnli",
    "bert-rte",
    "lstm-boolq",
    "lstm-qnli",
    "lstm-rte",
    "densenet121-esc50",
    "densenet121-crema_d",
    "septr-esc50",
    "septr-crema_d",
    "cvt13-cifar10",
    "cvt13-cifar100",
    "cvt13-tiny_imagenet",
    "cvt13-food_101",
    "cvt13-pretrained-tiny_imagenet",
    "cvt13-pretrained-food_101",
    "yolov5s-voc"
];

/// The names of all recipes, for `--help`.
pub(super) fn names() -> Vec<&'static str> {
    RECIPES.iter().map(|recipe| recipe.name).collect()
}

/// The recipe with this name; clap accepts only those of [`names`].
pub(super) fn named(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}
