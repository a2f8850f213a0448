"""Splink as a peer of identity resolution: the same files, its own estimates, no labels.

    splink_peer.py SET FILE TRUTH [--threads N]

SET names the settings (febrl, febrl-ssn, fake, people). FILE is what was imported, TRUTH has lines "record,person". Prints one line of JSON:
precision, recall and F1 of all pairs at 0.9 and at the best threshold, of the pairs within clusters at 0.9, ten bins of reliability,
seconds from reading the file to the clusters, and the peak of resident memory. Pins: requirements.txt.
"""

import argparse
import csv
import json
import logging
import resource
import sys
import time
import warnings

import duckdb
import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

warnings.filterwarnings("ignore")
logging.getLogger("splink").setLevel(logging.ERROR)


def febrl(ssn):
    compare = [
        cl.NameComparison("given_name").configure(term_frequency_adjustments=True),
        cl.NameComparison("surname").configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
        cl.LevenshteinAtThresholds("address_1", [1, 3]).configure(term_frequency_adjustments=True),
        cl.ExactMatch("suburb").configure(term_frequency_adjustments=True),
        cl.ExactMatch("postcode").configure(term_frequency_adjustments=True),
        cl.ExactMatch("state"),
        cl.ExactMatch("street_number"),
    ]
    blocks = [
        block_on("given_name", "surname"),
        block_on("date_of_birth"),
        block_on("postcode", "given_name"),
        block_on("postcode", "surname"),
        block_on("address_1"),
    ]
    if ssn:
        compare.append(cl.LevenshteinAtThresholds("soc_sec_id", [1, 2]))
        blocks.append(block_on("soc_sec_id"))
    return dict(key="rec_id", compare=compare, block=blocks, em=[block_on("date_of_birth"), block_on("postcode")], sure=["l.given_name = r.given_name and l.surname = r.surname and l.date_of_birth = r.date_of_birth"], recall=0.6)


def fake():
    return dict(
        key="unique_id",
        compare=[
            cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("surname").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ],
        block=[block_on("first_name"), block_on("surname"), block_on("dob"), block_on("email")],
        em=[block_on("first_name", "surname"), block_on("dob")],
        sure=["l.first_name = r.first_name and l.surname = r.surname and l.dob = r.dob", "l.email = r.email"],
        recall=0.7,
    )


def people():
    return dict(
        key="id",
        compare=[
            cl.NameComparison("first_name").configure(term_frequency_adjustments=True),
            cl.NameComparison("last_name").configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.EmailComparison("email").configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("phone", [1, 2]).configure(term_frequency_adjustments=True),
            cl.LevenshteinAtThresholds("street", [2, 5]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.ExactMatch("postal_code").configure(term_frequency_adjustments=True),
        ],
        block=[
            block_on("email"),
            block_on("phone"),
            block_on("last_name", "birth_date"),
            block_on("first_name", "birth_date"),
            block_on("first_name", "last_name", "postal_code"),
            block_on("street", "first_name"),
        ],
        em=[block_on("birth_date", "first_name"), block_on("email"), block_on("phone")],
        sure=["l.first_name = r.first_name and l.last_name = r.last_name and l.birth_date = r.birth_date", "l.email = r.email and l.first_name = r.first_name"],
        recall=0.7,
    )


BEST = [0.5, 0.7, 0.8, 0.95, 0.99, 0.999]  # further thresholds at which clusters are tried: the peer's best counts
SETS = {"febrl": lambda: febrl(False), "febrl-ssn": lambda: febrl(True), "fake": fake, "people": people}


def read(path, of):
    df = pd.read_csv(path, dtype=str, skipinitialspace=True)
    df.columns = [c.strip() for c in df.columns]
    df = df.apply(lambda c: c.str.strip()).replace("", None).where(lambda d: d.notna(), None)
    if "phone" in df:  # the pairs that a person would clean before: digits only, the country's prefix off
        digits = df["phone"].str.replace(r"\D", "", regex=True)
        df["phone"] = digits.str[-8:]
    if "email" in df:
        df["email"] = df["email"].str.lower()
    for name in ("first_name", "last_name", "street", "city"):
        if name in df:
            df[name] = df[name].str.lower()
    return df.rename(columns={of["key"]: "unique_id"})


def score(pairs, cluster):
    """Precision, recall and F1 of a frame of pairs with a probability, at 0.9 and at the best threshold, and ten bins."""
    sizes = pd.Series(cluster).value_counts()
    true = int((sizes * (sizes - 1) // 2).sum())
    p = pairs.sort_values("match_probability", ascending=False)
    right = (p["unique_id_l"].map(cluster).to_numpy() == p["unique_id_r"].map(cluster).to_numpy())
    prob = p["match_probability"].to_numpy()
    good = right.cumsum()
    at = (prob >= 0.9).sum()

    def f1(n):
        if n == 0:
            return dict(precision=1.0, recall=0.0, f1=0.0)
        g = int(good[n - 1])
        return dict(precision=g / n, recall=g / true, f1=2 * g / (n + true))

    best = max(range(1, len(p) + 1), key=lambda n: 2 * good[n - 1] / (n + true)) if len(p) else 0
    bins = []
    for b in range(10):
        within = (prob >= b / 10) & ((prob < (b + 1) / 10) | (b == 9))
        bins.append([int(within.sum()), round(float(prob[within].mean()), 4) if within.any() else None, round(float(right[within].mean()), 4) if within.any() else None])
    return true, f1(int(at)), dict(f1(best), threshold=float(prob[best - 1]) if best else None), bins


def clustered(found, cluster, true):
    """Precision, recall and F1 of the pairs within clusters."""
    found = found[["cluster_id", "unique_id"]].copy()
    found["person"] = found["unique_id"].map(cluster)
    n = found.groupby("cluster_id").size()
    g = found.groupby(["cluster_id", "person"]).size()
    made, good = int((n * (n - 1) // 2).sum()), int((g * (g - 1) // 2).sum())
    return dict(precision=good / made if made else 1.0, recall=good / true, f1=2 * good / (made + true))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("set", choices=SETS)
    a.add_argument("file")
    a.add_argument("truth")
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    of = SETS[a.set]()
    with open(a.truth, newline="") as f:
        cluster = {r[0]: r[1] for r in csv.reader(f)}
    began = time.time()
    df = read(a.file, of)
    db = duckdb.connect(":memory:", config={"threads": a.threads})
    linker = Linker(df, SettingsCreator(link_type="dedupe_only", comparisons=of["compare"], blocking_rules_to_generate_predictions=of["block"], retain_intermediate_calculation_columns=False), DuckDBAPI(db))
    linker.training.estimate_probability_two_random_records_match(of["sure"], recall=of["recall"])
    linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=1)
    for rule in of["em"]:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    predicted = linker.inference.predict(threshold_match_probability=0.01)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, 0.9)
    seconds = time.time() - began
    pairs = predicted.as_pandas_dataframe()[["unique_id_l", "unique_id_r", "match_probability"]]
    true, at, best, bins = score(pairs, cluster)
    within = clustered(clusters.as_pandas_dataframe(), cluster, true)
    for threshold in BEST:
        other = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, threshold).as_pandas_dataframe()
        other = dict(clustered(other, cluster, true), threshold=threshold)
        if other["f1"] > best["f1"]:
            best = other
    json.dump(dict(pairs=true, at=at, best=best, clusters=within, bins=bins, seconds=round(seconds, 2), peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024), sys.stdout)
    print()


if __name__ == "__main__":
    main()
