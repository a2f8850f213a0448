"""Fixtures: the servers that sdk_test.go started, and clients for them."""
import base64
import hashlib
import os
import time
import uuid

import boto3
import pytest
import requests
from botocore.config import Config


def make_client(endpoint, key=None, secret=None, **config):
    return boto3.client(
        "customer-profiles",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key or os.environ["KITH_TEST_KEY"],
        aws_secret_access_key=secret or os.environ["KITH_TEST_SECRET"],
        config=Config(retries={"max_attempts": 0}, **config),
    )


@pytest.fixture(scope="session")
def endpoint():
    return os.environ["KITH_TEST_ENDPOINT"]


@pytest.fixture(scope="session")
def client(endpoint):
    return make_client(endpoint)


@pytest.fixture(scope="session")
def unchecked(endpoint):
    """A client that sends what boto3 would refuse, so that the server's checks are seen."""
    return make_client(endpoint, parameter_validation=False)


@pytest.fixture
def domain(client):
    name = "d-" + uuid.uuid4().hex[:12]
    client.create_domain(DomainName=name, DefaultExpirationDays=366)
    yield name
    client.delete_domain(DomainName=name)


def sse_headers(token):
    """The three headers, exactly as the API documents them."""
    return {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": token,
        "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(
            hashlib.md5(base64.b64decode(token)).digest()
        ).decode(),
    }


def upload(client, domain, job, data):
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    return requests.put(path["Url"], data=data, headers=sse_headers(path["ClientToken"]), timeout=60)


def wait(client, domain, job, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = client.get_upload_job(DomainName=domain, JobId=job)
        if got["Status"] not in ("CREATED", "IN_PROGRESS"):
            return got
        time.sleep(0.05)
    raise AssertionError(f"job {job} did not end: {got}")


def run_job(client, domain, fields, unique_key, data, **more):
    """The documented flow in one call: create, upload, start, wait."""
    job = client.create_upload_job(
        DomainName=domain, DisplayName="test", Fields=fields, UniqueKey=unique_key, **more
    )["JobId"]
    response = upload(client, domain, job, data)
    assert response.status_code == 200, response.text
    client.start_upload_job(DomainName=domain, JobId=job)
    return wait(client, domain, job)


def summary(job):
    s = job["ResultsSummary"]
    return s["CreatedRecords"], s["UpdatedRecords"], s["FailedRecords"]
