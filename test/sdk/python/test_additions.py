"""What Kith adds to the API, through boto3 with model/additions.json loaded as a service, and through a tus client."""
import csv
import gzip
import io
import os
import shutil
import time

import boto3
import botocore.session
import pytest
import requests
from botocore.exceptions import ClientError
from tusclient.client import TusClient

from conftest import run_job, sse_headers, summary, upload, wait

MODEL = os.path.join(os.path.dirname(__file__), "..", "..", "..", "model", "additions.json")

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "name": {"Source": "_source.name", "Target": "_profile.LastName"},
    "tier": {"Source": "_source.tier", "Target": "_profile.Attributes.tier"},
}


@pytest.fixture(scope="session")
def kith(endpoint, tmp_path_factory):
    data = tmp_path_factory.mktemp("models")
    (data / "kith" / "2026-11-01").mkdir(parents=True)
    shutil.copy(MODEL, data / "kith" / "2026-11-01" / "service-2.json")
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.append(str(data))
    return boto3.Session(botocore_session=session).client(
        "kith", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=os.environ["KITH_TEST_KEY"], aws_secret_access_key=os.environ["KITH_TEST_SECRET"],
    )


def create(client, domain):
    return client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey="id")["JobId"]


def dry_run(kith, domain, job):
    deadline = time.time() + 30
    while time.time() < deadline:
        got = kith.dry_run_upload_job(DomainName=domain, JobId=job)
        if got["Status"] != "RUNNING":
            return got
        time.sleep(0.05)
    raise AssertionError("the dry run did not end")


def names(client, domain, *ids):
    found = client.search_profiles(DomainName=domain, KeyName="_account", Values=list(ids))["Items"]
    return sorted(p.get("LastName", "") for p in found)


def test_dry_run_then_import_then_rejects_then_undo(client, kith, domain):
    first = run_job(client, domain, FIELDS, "id", b"id,name,tier\n1,Lee,gold\n2,Ray,tin\n")
    assert summary(first) == (2, 0, 0)

    job = create(client, domain)
    with pytest.raises(ClientError) as refused:
        kith.dry_run_upload_job(DomainName=domain, JobId=job)
    assert refused.value.response["Error"]["Code"] == "BadRequestException"
    assert "has no file yet" in refused.value.response["Error"]["Message"]

    assert upload(client, domain, job, b"id,name,tier\n2,Raymond,tin\n3,Doe,zinc\n,Nobody,\n=4,,,x\n").status_code == 200
    got = dry_run(kith, domain, job)
    assert got["Status"] == "SUCCEEDED"
    assert (got["WouldCreate"], got["WouldUpdate"], got["WouldFail"], got["RowsRead"]) == (1, 1, 2, 4)
    assert [(c["Field"], c["OldValue"], c["NewValue"]) for c in got["Changes"]] == [("LastName", "Ray", "Raymond")]
    assert client.get_upload_job(DomainName=domain, JobId=job)["Status"] == "CREATED"
    assert names(client, domain, "1", "2", "3") == ["Lee", "Ray"]

    client.start_upload_job(DomainName=domain, JobId=job)
    end = wait(client, domain, job)
    assert end["Status"] == "PARTIALLY_SUCCEEDED" and summary(end) == (1, 1, 2)
    body = kith.export_upload_job_rejects(DomainName=domain, JobId=job)["Body"].read()
    rows = list(csv.reader(io.StringIO(body.decode())))
    assert rows[0] == ["kith_line", "kith_column", "kith_reason", "kith_message", "id", "name", "tier"]
    assert [r[:3] + r[4:] for r in rows[1:]] == [["4", "id", "empty-key", "", "Nobody", ""], ["5", "", "cell-count", "=4", "", "", "x"]]
    safe = kith.export_upload_job_rejects(DomainName=domain, JobId=job, SafeForSpreadsheets=True)["Body"].read()
    assert b",'=4," in safe
    # Mended, the file is imported as it is.
    mended = body.replace(b",,Nobody,", b",7,Somebody,").replace(b"=4,,,x\n", b"8,Eight,\n")
    again = run_job(client, domain, FIELDS, "id", mended)
    assert again["Status"] == "SUCCEEDED" and summary(again) == (2, 0, 0)

    details = kith.get_upload_job_details(DomainName=domain, JobId=job)
    assert details["Encoding"] == "UTF-8" and details["LineEnd"] == "LF" and details["Delimiter"] == ","

    deadline = time.time() + 30
    while kith.undo_upload_job(DomainName=domain, JobId=job)["UndoStatus"] != "UNDONE":
        assert time.time() < deadline
        time.sleep(0.05)
    assert names(client, domain, "1", "2", "3", "7") == ["Lee", "Ray", "Somebody"]
    assert kith.get_upload_job_details(DomainName=domain, JobId=job)["UndoStatus"] == "UNDONE"
    assert client.get_upload_job(DomainName=domain, JobId=job)["Status"] == "PARTIALLY_SUCCEEDED"


def test_a_tus_client_uploads_in_parts(client, kith, domain):
    job = create(client, domain)
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    data = b"id,name,tier\n" + b"".join(b"%d,Name %d,t\n" % (i, i) for i in range(5000))
    tus = TusClient(path["Url"], headers={**sse_headers(path["ClientToken"]), "Upload-Length": str(len(data))})
    uploader = tus.uploader(file_stream=io.BytesIO(data), url=path["Url"], chunk_size=20_000)
    uploader.upload_chunk()
    assert uploader.offset == 20_000
    # Another client, with a fresh URL, goes on where the first one stopped.
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    tus = TusClient(path["Url"], headers={**sse_headers(path["ClientToken"]), "Upload-Length": str(len(data))})
    uploader = tus.uploader(file_stream=io.BytesIO(data), url=path["Url"], chunk_size=30_000)
    assert uploader.offset == 20_000
    uploader.upload()
    assert uploader.offset == len(data)
    head = requests.head(path["Url"], headers={**sse_headers(path["ClientToken"]), "Tus-Resumable": "1.0.0"}, timeout=10)
    assert head.headers["Upload-Offset"] == head.headers["Upload-Length"] == str(len(data))
    assert kith.get_upload_job_details(DomainName=domain, JobId=job)["FileBytes"] == len(data)
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == (5000, 0, 0)


def test_what_a_file_looks_like_is_told(client, kith, domain):
    lines = ["Customers of 2026,,", ",,", "id,name,city", "1,Ann,Bonn", "2,Bea", "id,name,city", " , ,", "n/a,Nobody,", "3, Zo\u00e9\u200b ,Ulm,,"]
    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "name": {"Source": "_source.name", "Target": "_profile.FirstName"},
              "city": {"Source": "_source.city", "Target": "_profile.Address.City"}}
    end = run_job(client, domain, fields, "id", "\r\n".join(lines).encode("cp1252", "ignore"))
    assert summary(end) == (3, 0, 1)
    details = kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])
    assert (details["HeaderLine"], details["ShortRows"], details["RepeatedHeaderRows"]) == (3, 1, 1)
    found = client.search_profiles(DomainName=domain, KeyName="_account", Values=["3"])["Items"][0]
    assert (found["FirstName"], found["Address"]["City"]) == ("Zo\u00e9", "Ulm")
    assert client.search_profiles(DomainName=domain, KeyName="_account", Values=["n/a"])["Items"] == []
    rejects = kith.list_upload_job_rejects(DomainName=domain, JobId=end["JobId"])["Items"]
    assert [r["ReasonCode"] for r in rejects] == ["placeholder-key"]


def test_what_a_caller_says_of_a_file_is_obeyed(client, kith, domain):
    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "name": {"Source": "_source.name", "Target": "_profile.FirstName"}}
    job = client.create_upload_job(DomainName=domain, DisplayName="said", Fields=fields, UniqueKey="id")["JobId"]
    for bad, word in [({"Encoding": "klingon"}, "windows-1250"), ({"Delimiter": '"'}, "Delimiter")]:
        with pytest.raises(ClientError) as refused:
            kith.put_upload_job_options(DomainName=domain, JobId=job, **bad)
        assert refused.value.response["Error"]["Code"] == "BadRequestException" and word in refused.value.response["Error"]["Message"]
    kith.put_upload_job_options(DomainName=domain, JobId=job, Encoding="cp1250", Delimiter="^", HeaderLine=2)
    assert upload(client, domain, job, "id^name\nid^name\n1^\u0141ucja\n".encode("cp1250")).status_code == 200
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == (1, 0, 0)
    assert client.search_profiles(DomainName=domain, KeyName="_account", Values=["1"])["Items"][0]["FirstName"] == "\u0141ucja"
    details = kith.get_upload_job_details(DomainName=domain, JobId=job)
    assert (details["Encoding"], details["Delimiter"], details["HeaderLine"]) == ("windows-1250", "^", 2)
    with pytest.raises(ClientError) as late:
        kith.put_upload_job_options(DomainName=domain, JobId=job, Encoding="cp1250")
    assert "before it starts" in late.value.response["Error"]["Message"]


def workbook(sheets):
    """An Excel workbook of sheets: rows of cells, which are texts, numbers or pairs of a number and a style (1 is a date)."""
    import io
    import zipfile
    from xml.sax.saxutils import escape

    def cell(value):
        if value is None:
            return "<c/>"
        value, style = value if isinstance(value, tuple) else (value, 0)
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f'<c s="{style}"><v>{value!r}</v></c>'

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        names = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1))
        kinds = "".join(f'<Relationship Id="r{i}" Type="x/worksheet" Target="worksheets/s{i}.xml"/>' for i, _ in enumerate(sheets, 1))
        z.writestr("xl/workbook.xml", f"<workbook><sheets>{names}</sheets></workbook>")
        z.writestr("xl/_rels/workbook.xml.rels", f'<Relationships>{kinds}<Relationship Id="st" Type="x/styles" Target="styles.xml"/></Relationships>')
        z.writestr("xl/styles.xml", '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>')
        for i, rows in enumerate(sheets.values(), 1):
            text = "".join("<row>" + "".join(map(cell, row)) + "</row>" for row in rows)
            z.writestr(f"xl/worksheets/s{i}.xml", f"<worksheet><sheetData>{text}</sheetData></worksheet>")
    return out.getvalue()


BOOK_FIELDS = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "phone": {"Source": "_source.phone", "Target": "_profile.PhoneNumber"},
               "born": {"Source": "_source.born", "Target": "_profile.BirthDate"}}


def test_a_workbook_is_read_as_it_is(client, kith, domain):
    data = workbook({
        "Cover": [[None, None]],
        "Kunden": [["Customers", None, "2026"], [], ["id", "phone", "born"], [1001, 4915112345678, (31120, 1)], ["x\ny", "+34 612", None], [None, "no key"], [1002]],
        "Old": [["id", "phone", "born"], [7, "1", "2"]],
    })
    end = run_job(client, domain, BOOK_FIELDS, "id", data)
    assert summary(end) == (3, 0, 1)
    found = client.search_profiles(DomainName=domain, KeyName="_account", Values=["1001"])["Items"][0]
    assert (found["PhoneNumber"], found["BirthDate"]) == ("4915112345678", "1985-03-14")
    details = kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])
    assert (details["Sheet"], details["HeaderLine"], details["ShortRows"], details["UncalculatedCells"]) == ("Kunden", 3, 0, 0)
    rejects = kith.list_upload_job_rejects(DomainName=domain, JobId=end["JobId"])["Items"]
    assert [(r["LineNumber"], r["ReasonCode"]) for r in rejects] == [(6, "empty-key")]

    for sheet, want in [("old", (1, 0, 0)), ("3", (0, 1, 0))]:
        job = client.create_upload_job(DomainName=domain, DisplayName="book", Fields=BOOK_FIELDS, UniqueKey="id")["JobId"]
        kith.put_upload_job_options(DomainName=domain, JobId=job, Sheet=sheet)
        assert upload(client, domain, job, data).status_code == 200
        client.start_upload_job(DomainName=domain, JobId=job)
        assert summary(wait(client, domain, job)) == want


@pytest.mark.parametrize("data, sheet, says", [
    (b'{"id": 1}', None, "The file is JSON"),
    (b"%PDF-1.7\n", None, "PDF"),
    (b"<html><table><tr><td>id", None, "HTML"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), None, ".xls"),
    (b"id,phone,born\n1,2,3\n", "Kunden", "no Excel workbook"),
    (workbook({"A": [["id"]], "B": [["id"]]}), "Kunden", 'It has: 1 "A", 2 "B".'),
])
def test_what_is_no_table_is_told(client, kith, domain, data, sheet, says):
    job = client.create_upload_job(DomainName=domain, DisplayName="no", Fields=BOOK_FIELDS, UniqueKey="id")["JobId"]
    if sheet:
        kith.put_upload_job_options(DomainName=domain, JobId=job, Sheet=sheet)
    assert upload(client, domain, job, data).status_code == 200
    client.start_upload_job(DomainName=domain, JobId=job)
    end = wait(client, domain, job)
    assert (end["Status"], end["StatusReason"]) == ("FAILED", "VALIDATION_FAILURE")
    assert says in kith.get_upload_job_details(DomainName=domain, JobId=job)["Reason"]


def test_a_file_is_looked_at_before_its_mapping_is_decided(client, kith, domain):
    """A job is made with any mapping, its file uploaded and looked at, and the suggestion becomes the job's mapping."""
    text = "Liste\nKundennr.;Name;E-Mail;PLZ\n'007;Ann Lee;ann@x.example;'01067\n'008;Roth, Bea;bea@x.example;'01069\n"
    job = create(client, domain)
    with pytest.raises(ClientError, match="has no file yet"):
        kith.suggest_upload_mapping(DomainName=domain, JobId=job)
    upload(client, domain, job, text.encode("cp1252"))
    got = kith.suggest_upload_mapping(DomainName=domain, JobId=job)
    assert (got["Delimiter"], got["HeaderLine"], got["PassedOver"], got["AllRows"]) == (";", 2, ["Liste"], True)
    assert [c["Samples"][0] for c in got["Columns"]] == ["007", "Ann Lee", "ann@x.example", "01067"]
    by_head = kith.suggest_upload_mapping(DomainName=domain, Head=text.encode("cp1252"))
    for each in (got, by_head):
        each.pop("ResponseMetadata")
    assert by_head == got

    before = dry_run(kith, domain, job)
    assert (before["Status"], before["Reason"][:31]) == ("FAILED", "The header lacks the mapped col")
    kith.put_upload_job_mapping(DomainName=domain, JobId=job, Fields=got["Fields"], UniqueKey=got["UniqueKey"])
    tried = dry_run(kith, domain, job)  # the mapping is another: what was tried before counts no more
    assert (tried["Status"], tried["WouldCreate"]) == ("SUCCEEDED", 2)
    client.start_upload_job(DomainName=domain, JobId=job)
    wait(client, domain, job)
    assert names(client, domain, "007", "008") == ["Lee", "Roth"]
    with pytest.raises(ClientError, match="its mapping can only be said before it starts"):
        kith.put_upload_job_mapping(DomainName=domain, JobId=job, Fields=FIELDS, UniqueKey="id")


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_the_head_of_a_long_file_is_enough(kith, domain, pack):
    """Rows that the head cuts are left out, and letters from behind it tell the encoding."""
    rows = [f"{i},Customer {i},c{i}@x.example" for i in range(200000)]
    text = ("id,note,email\n" + "\n".join(rows) + "\n").encode()
    late = "1,Łódź Żółć Gdańsk,z@x.example\n2,Książę Wąż,y@x.example\n3,Święty Krzyż,x@x.example\n".encode("cp1250") * 20
    if pack == "gzip":
        text = gzip.compress(text, mtime=0)
        assert len(text) > 1 << 20
    head = text[:1 << 20]
    got = kith.suggest_upload_mapping(DomainName=domain, Head=head, FileBytes=len(text) + len(late), Excerpts=[late])
    assert (got["AllRows"], got["RowsLookedAt"]) == (False, 1000)
    assert got["Encoding"] == ("windows-1250" if pack == "plain" else "UTF-8")
    assert {c["BlankShare"] for c in got["Columns"]} == {0.0}
