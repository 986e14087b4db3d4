"""Average precision of random detections, by pycocotools, and by YOLOv5's and PASCAL VOC's measures stated again from their description.

    pip install numpy pycocotools
    python tests/golden/make_average_precision.py          writes average_precision.json
    python tests/golden/make_average_precision.py FILE     prints the measures of a run's detections
"""

import contextlib
import io
import json
import pathlib
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = pathlib.Path(__file__).parent
OVERLAPS = np.linspace(0.5, 0.95, 10)


def random_images(rng, images, classes, truths, spread, most):
    """Objects, and detections near them and elsewhere. All numbers are multiples of 1/8, which f32 and JSON hold exactly."""
    eighth = lambda values: np.round(np.asarray(values) * 8) / 8
    found = []
    for _ in range(images):
        boxes, objects = [], []
        for _ in range(rng.integers(0, truths + 1)):
            first = rng.uniform(0, 200, 2)
            corners = eighth([*first, *(first + rng.uniform(8, 80, 2))])
            k = int(rng.integers(classes))
            objects.append({"class": k, "box": corners.tolist(), "difficult": bool(rng.random() < 0.15)})
            for _ in range(rng.integers(0, 4)):
                other = k if rng.random() < 0.8 else int(rng.integers(classes))
                moved = eighth(corners + rng.normal(0, spread, 4))
                boxes.append((other, float(rng.random()), moved))
        for _ in range(rng.integers(0, most)):
            first = rng.uniform(0, 200, 2)
            boxes.append((int(rng.integers(classes)), float(rng.random()), eighth([*first, *(first + rng.uniform(8, 80, 2))])))
        boxes = [(k, float(np.float32(c)), b) for k, c, b in boxes if b[2] > b[0] and b[3] > b[1]]
        boxes.sort(key=lambda box: -box[1])
        detections = [{"class": k, "confidence": c, "box": b.tolist()} for k, c, b in boxes]
        found.append({"found": detections, "objects": objects})
    return found


def overlaps(truths, boxes, more=0.0, epsilon=0.0):
    """IoU of every truth with every box; `more` is added to sides."""
    a, b = np.asarray(truths, float).reshape(-1, 1, 4), np.asarray(boxes, float).reshape(1, -1, 4)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + more, 0, None)
    area = lambda c: (c[..., 2] - c[..., 0] + more) * (c[..., 3] - c[..., 1] + more)
    inner = sides[..., 0] * sides[..., 1]
    return inner / (area(a) + area(b) - inner + epsilon)


def yolov5(images, classes):
    """AP of each class and overlap, or None."""
    right, confidence, of_class, objects = [], [], [], []
    for image in images:
        truths = [t for t in image["objects"] if not t["difficult"]]
        objects += [t["class"] for t in truths]
        boxes = image["found"]
        correct = np.zeros((len(boxes), 10), bool)
        if truths and boxes:
            iou = overlaps([t["box"] for t in truths], [b["box"] for b in boxes], epsilon=1e-7)
            same = np.array([[t["class"] == b["class"] for b in boxes] for t in truths])
            for i, least in enumerate(OVERLAPS):
                rows, columns = np.where((iou >= least) & same)
                matches = np.stack([rows, columns, iou[rows, columns]], 1)
                matches = matches[matches[:, 2].argsort()[::-1]]
                matches = matches[np.unique(matches[:, 1], return_index=True)[1]]
                matches = matches[np.unique(matches[:, 0], return_index=True)[1]]
                correct[matches[:, 1].astype(int), i] = True
        right.append(correct)
        confidence += [b["confidence"] for b in boxes]
        of_class += [b["class"] for b in boxes]
    right, confidence, of_class, objects = np.concatenate(right), np.array(confidence), np.array(of_class), np.array(objects)
    order = np.argsort(-confidence, kind="stable")
    right, of_class = right[order], of_class[order]
    found = []
    for k in range(classes):
        count = (objects == k).sum()
        hits = right[of_class == k]
        if count == 0:
            found.append(None)
            continue
        found.append([float(yolov5_area(hits[:, i], count)) for i in range(10)])
    return found


def yolov5_area(hits, count):
    if len(hits) == 0:
        return 0.0
    tp, fp = hits.cumsum(), (~hits).cumsum()
    recall, precision = tp / (count + 1e-16), tp / (tp + fp)
    recall, precision = np.concatenate(([0.0], recall, [1.0])), np.concatenate(([1.0], precision, [0.0]))
    precision = np.flip(np.maximum.accumulate(np.flip(precision)))
    x = np.linspace(0, 1, 101)
    y = np.interp(x, recall, precision)
    return ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum()


def coco(images, classes):
    """AP of each class and overlap by pycocotools, or None."""
    to_xywh = lambda c: [c[0], c[1], c[2] - c[0], c[3] - c[1]]
    annotations, results = [], []
    for i, image in enumerate(images):
        for t in image["objects"]:
            if not t["difficult"]:
                box = to_xywh(t["box"])
                row = {"id": len(annotations) + 1, "image_id": i, "category_id": t["class"], "bbox": box, "area": box[2] * box[3]}
                annotations.append(row | {"iscrowd": 0})
        results += [
            {"image_id": i, "category_id": b["class"], "bbox": to_xywh(b["box"]), "score": b["confidence"]} for b in image["found"]
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(images))],
            "annotations": annotations,
            "categories": [{"id": k} for k in range(classes)],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    of_class = lambda k: None if (precision[:, :, k] < 0).all() else precision[:, :, k].mean(1).tolist()
    return [of_class(k) for k in range(classes)]


def voc(images, classes, eleven):
    """AP of each class at an overlap above 0.5, or None."""
    found = []
    for k in range(classes):
        truths = [[t for t in image["objects"] if t["class"] == k] for image in images]
        count = sum(not t["difficult"] for image in truths for t in image)
        boxes = [(b["confidence"], i, b["box"]) for i, image in enumerate(images) for b in image["found"] if b["class"] == k]
        boxes.sort(key=lambda box: -box[0])
        taken, hits = [[False] * len(t) for t in truths], []
        for _, i, box in boxes:
            iou = overlaps([t["box"] for t in truths[i]], [box], more=1.0)[:, 0] if truths[i] else np.zeros(0)
            if len(iou) and iou.max() > 0.5:
                best = int(iou.argmax())
                if truths[i][best]["difficult"]:
                    continue
                hits.append(not taken[i][best])
                taken[i][best] = True
            else:
                hits.append(False)
        if count == 0:
            found.append(None)
            continue
        hits = np.array(hits, bool)
        recall, precision = hits.cumsum() / count, hits.cumsum() / np.maximum(np.arange(len(hits)) + 1, 1)
        if eleven:
            at = [precision[recall >= t].max() if (recall >= t).any() else 0.0 for t in np.arange(0.0, 1.1, 0.1)]
            found.append(float(sum(at) / 11))
        else:
            recall, precision = np.concatenate(([0.0], recall, [1.0])), np.concatenate(([0.0], precision, [0.0]))
            precision = np.maximum.accumulate(precision[::-1])[::-1]
            steps = np.where(recall[1:] != recall[:-1])[0]
            found.append(float(((recall[steps + 1] - recall[steps]) * precision[steps + 1]).sum()))
    return found


def measured(images, classes):
    return {
        "yolov5": yolov5(images, classes),
        "coco": coco(images, classes),
        "voc2007": voc(images, classes, True),
        "voc": voc(images, classes, False),
    }


def mean(values):
    return float(np.mean([v for v in values if v is not None]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run = json.loads(pathlib.Path(sys.argv[1]).read_text())
        names = [row["class"] for row in run["classes"]]
        index = lambda rows: [row | {"class": names.index(row["class"])} for row in rows]
        images = [{"found": index(image["found"]), "objects": index(image["objects"])} for image in run["images"]]
        found = measured(images, len(names))
        for name in ("yolov5", "coco"):
            print(f"{name}: mAP@0.5 {mean([v and v[0] for v in found[name]])}, mAP {mean([v and np.mean(v) for v in found[name]])}")
        print(f"voc2007: {mean(found['voc2007'])}\nvoc: {mean(found['voc'])}")
        sys.exit()
    rng = np.random.default_rng(7)
    cases = []
    for images, classes, truths, spread, most in [(12, 3, 6, 4.0, 6), (25, 5, 4, 8.0, 10), (4, 1, 12, 2.0, 3), (3, 4, 1, 3.0, 4), (2, 2, 0, 1.0, 5)]:
        drawn = random_images(rng, images, classes, truths, spread, most)
        cases.append({"classes": classes, "images": drawn} | measured(drawn, classes))
    (HERE / "average_precision.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
