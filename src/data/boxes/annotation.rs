//! Reads the annotations of PASCAL VOC: an XML file for each image.

use super::objects::MOST_OBJECTS;
use crate::error::{Error, Result};
use crate::files::text;
use roxmltree::{Document, Node};
use std::path::Path;

/// The annotation of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct VocAnnotation {
    /// Width and height of the image.
    pub size: [u32; 2],
    /// The objects in the image.
    pub objects: Vec<VocObject>,
}

/// An object in an annotation.
#[derive(Clone, Debug, PartialEq)]
pub struct VocObject {
    /// The name of its class.
    pub name: String,
    /// `xmin`, `ymin`, `xmax` and `ymax`: the first and the last pixel, counted from 1.
    pub corners: [f64; 4],
    /// Whether it is marked as difficult.
    pub difficult: bool,
    /// Where it is in the file, in bytes.
    pub offset: u64,
}

/// The largest width and height, in pixels.
const LONGEST_SIDE: u32 = 1 << 15;

/// The names of the corners of a box.
const CORNERS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

impl VocObject {
    /// The error about the object `number`, counted from 1.
    pub(super) fn fault(&self, path: &Path, number: usize, message: &str) -> Error {
        Error::format(path, self.offset, format!("object {number}, {:?}: {message}", self.name))
    }
}

/// Reads an annotation from the bytes of its file. `path` is for messages. Boxes are not checked
/// against the size of the image.
///
/// # Errors
/// [`Error::Format`] with the object, for a file that is not such an annotation.
pub fn voc_annotation_in(path: &Path, bytes: &[u8]) -> Result<VocAnnotation> {
    let text = text::utf8(path, bytes)?;
    let skipped = bytes.len() - text.len();
    let at = |offset: usize| (skipped + offset) as u64;
    let document = Document::parse(text).map_err(|fault| {
        let place = fault.pos();
        let message = format!("line {}: expected an annotation in XML: {fault}", place.row);
        Error::format(path, at(offset_of(text, place.row as usize)), message)
    })?;
    let root = document.root_element();
    let bad = |node: &Node<'_, '_>, message: String| Error::format(path, at(node.range().start), message);
    if root.tag_name().name() != "annotation" {
        return Err(bad(&root, format!("expected <annotation>, found <{}>", root.tag_name().name())));
    }
    let size = child(&root, "size").ok_or_else(|| bad(&root, "expected <size> of the image, found none".into()))?;
    let side = |name: &str| {
        let text = text_of(&size, name);
        let side = text.and_then(|text| text.parse().ok()).filter(|side| (1..=LONGEST_SIDE).contains(side));
        let found = text.unwrap_or("nothing");
        let expected = format!("size: expected 1 to {LONGEST_SIDE} pixels in <{name}>, found {found:.40}");
        side.ok_or_else(|| bad(&size, expected))
    };
    let size = [side("width")?, side("height")?];
    let mut objects = vec![];
    for node in root.children().filter(|node| node.has_tag_name("object")) {
        let number = objects.len() + 1;
        if number > MOST_OBJECTS {
            return Err(bad(&node, format!("expected at most {MOST_OBJECTS} objects in an image")));
        }
        let name = text_of(&node, "name").unwrap_or_default();
        let fault = |message| bad(&node, format!("object {number}, {name:?}: {message}; correct it"));
        objects.push(object_in(&node, name, at(node.range().start)).map_err(fault)?);
    }
    Ok(VocAnnotation { size, objects })
}

/// The byte at which a line begins, counted from 1.
fn offset_of(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
}

fn object_in(node: &Node<'_, '_>, name: &str, offset: u64) -> Result<VocObject, String> {
    if name.is_empty() {
        return Err("expected the name of a class in <name>, found nothing".into());
    }
    let difficult = match text_of(node, "difficult") {
        None | Some("0" | "") => false,
        Some("1") => true,
        Some(other) => return Err(format!("expected 0 or 1 in <difficult>, found {other:.40}")),
    };
    let bounds = child(node, "bndbox").ok_or("expected a box in <bndbox>, found none")?;
    let mut corners = [0.0; 4];
    for (corner, name) in corners.iter_mut().zip(CORNERS) {
        let text = text_of(&bounds, name).unwrap_or_default();
        *corner = text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| {
            let found = if text.is_empty() { "nothing" } else { text };
            format!("expected a number in <{name}>, found {found:.40}")
        })?;
    }
    Ok(VocObject { name: name.to_owned(), corners, difficult, offset })
}

fn child<'a, 'd>(node: &Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The text of the child `name`, trimmed.
fn text_of<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name).map(|child| child.text().unwrap_or_default().trim())
}
