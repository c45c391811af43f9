"""Makes the sample that `lavandin quickstart` loads: a slice of WordNet glosses with their embeddings.

    python tools/make_sample.py GLOSSES.jsonl.gz EMBEDDINGS.f16.npy crates/server/sample

Input: one JSON object a line (synset, pos, lex, lemma, text) and a float16 matrix whose row i belongs to line i.
Output, the same bytes for the same input:

    wordnet.jsonl           one record a line: id, lemma, pos, lex, text
    wordnet.f16             its vectors: rows x 384 IEEE halves, little-endian, no header
    wordnet-queries.jsonl   one tour stop a line: text, lemma, where (a filter, or null)
    wordnet-queries.f16     the embeddings of those texts

A tour stop's text is the gloss of a row that the sample leaves out, because no embedding model runs in the
server. NOTICE in the output folder holds WordNet's licence, written by hand; this script does not touch it.
Needs numpy.
"""

import argparse
import gzip
import json
import pathlib
import re

import numpy as np

ROWS = 2500

# What the sample is made of: coherent groups, so that neighbours make sense. lex -> (most rows, wanted words).
# Groups that come first keep all their rows up to the quota; the last one fills what is left.
GROUPS = [
    ("noun.feeling", 200, None),
    ("verb.emotion", 200, None),
    ("verb.weather", 50, None),
    ("noun.phenomenon", 200, None),
    ("verb.consumption", 100, None),
    (
        "noun.artifact",
        500,
        r"vehicles?|cars?|trucks?|aircraft|airplanes?|ships?|boats?|sail\w*|trains?|bicycles?|"
        r"musical instruments?|stringed|violins?|guitars?|drums?|flutes?|trumpets?|pianos?|organ pipe|"
        r"kitchen|cooking|telescopes?|clocks?",
    ),
    (
        "noun.person",
        230,
        r"musicians?|singers?|plays|cooks?|sailors?|pilots?|drivers?|farmers?|physicians?|doctors?|scientists?|"
        r"teachers?|sculptors?|painters?|poets?|travels?",
    ),
    ("noun.food", 560, None),
    ("noun.animal", ROWS, None),
]

# Taxonomic entries repeat one gloss hundreds of times; the rest is not for a product's first screen.
DULL = r"\b(genus|genera|family|families|order|class|suborder|superfamily|born in|\d{4}-\d{4})\b"
RUDE = (
    r"\b(sex\w*|lust\w*|erotic\w*|lewd\w*|genital\w*|penis|mistress|abortion\w*|kill\w*|drug\w*|slave\w*|"
    r"contempt\w*|offensive\w*|disparag\w*|jew\w*)\b"
)

# Tour stops by synset, left out of the records; with the filter that the tour adds.
QUERIES = [
    ("gerenuk", "noun.animal", None),
    ("misery", "noun.feeling", None),
    ("thundershower", "noun.phenomenon", "lex = 'verb.weather'"),
    ("viola", "noun.artifact", "lex = 'noun.person'"),
    ("Limburger", "noun.food", "lex = 'noun.food' AND text LIKE '%French%'"),
]


def suits(row):
    text = f"{row['lemma']} {row['text']}"
    return 25 <= len(text) <= 190 and not re.search(DULL, text) and not re.search(RUDE, text, re.IGNORECASE)


def choose(rows, held_out):
    """Indices of the sample's rows, ascending."""
    chosen = []
    for lex, quota, wanted in GROUPS:
        room = min(quota, ROWS - len(chosen))
        fitting = [
            index
            for index, row in enumerate(rows)
            if row["lex"] == lex
            and index not in held_out
            and suits(row)
            and (wanted is None or re.search(rf"\b({wanted})\b", row["text"].split(";")[0]))
        ]
        chosen += fitting[:room]
    if len(chosen) != ROWS:
        raise SystemExit(f"only {len(chosen)} of {ROWS} rows fit")
    return sorted(chosen)


def write(folder, name, lines, vectors):
    with open(folder / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    vectors.astype("<f2").tofile(folder / f"{name}.f16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("glosses", type=pathlib.Path)
    parser.add_argument("embeddings", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    with gzip.open(arguments.glosses, "rt", encoding="utf-8") as source:
        rows = [json.loads(line) for line in source]
    vectors = np.load(arguments.embeddings)
    if len(rows) != len(vectors):
        raise SystemExit(f"{len(rows)} glosses but {len(vectors)} embeddings")
    stops = []
    for lemma, lex, where in QUERIES:
        index = next(i for i, row in enumerate(rows) if row["lemma"] == lemma and row["lex"] == lex)
        stops.append((index, where))
    held_out = {index for index, _ in stops}
    chosen = choose(rows, held_out)
    columns = ("lemma", "pos", "lex", "text")
    records = [{"id": rows[i]["synset"]} | {column: rows[i][column] for column in columns} for i in chosen]
    queries = [{"text": rows[i]["text"], "lemma": rows[i]["lemma"], "where": where} for i, where in stops]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write(arguments.folder, "wordnet", records, vectors[chosen])
    write(arguments.folder, "wordnet-queries", queries, vectors[[index for index, _ in stops]])
    print(f"{len(records)} records and {len(queries)} queries of {vectors.shape[1]} dimensions")


if __name__ == "__main__":
    main()
