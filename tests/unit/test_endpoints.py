"""Where requests go: AWS by its own rules, everything else as it was given."""

import pytest

from cognitofs.errors import ConfigError
from cognitofs.store.endpoints import endpoint_of
from cognitofs.store.requests import Request
from cognitofs.store.wire import target_of


@pytest.mark.parametrize(
    ("bucket", "region", "options", "host", "path"),
    [
        ("b-1", "us-east-1", {}, "b-1.s3.us-east-1.amazonaws.com", ""),
        ("b-1", "cn-north-1", {}, "b-1.s3.cn-north-1.amazonaws.com.cn", ""),
        ("b.1", "eu-west-2", {}, "s3.eu-west-2.amazonaws.com", "/b.1"),
        (
            "b-1",
            "us-gov-west-1",
            {"fips": True, "dual_stack": True},
            "b-1.s3-fips.dualstack.us-gov-west-1.amazonaws.com",
            "",
        ),
    ],
)
def test_aws_is_addressed_by_its_endpoint_rules(bucket, region, options, host, path):
    endpoint = endpoint_of(bucket, region, **options)
    assert (endpoint.scheme, endpoint.host, endpoint.port) == ("https", host, 443)
    assert (endpoint.path, endpoint.region, endpoint.is_aws) == (path, region, True)
    assert endpoint.authority == host


def test_a_given_endpoint_is_addressed_path_style():
    endpoint = endpoint_of("b", "eu-west-2", endpoint_url="https://s3.example:9000/store/")
    assert (endpoint.authority, endpoint.path) == ("s3.example:9000", "/store/b")
    assert not endpoint.is_aws
    assert endpoint_of("b", "r", endpoint_url="http://[::1]:9").authority == "[::1]:9"
    assert endpoint_of("b", "r", endpoint_url="https://h:443").authority == "h"


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example",
        "http://10.0.0.1:9000",
        "ftp://s3.example",
        "s3.example",
        "https://",
        "https://user:word@s3.example",
        "https://s3.example?x=1",
        "https://s3.example:99999",
    ],
)
def test_an_address_that_would_not_be_safe_is_refused(url):
    with pytest.raises(ConfigError) as caught:
        endpoint_of("b", "r", endpoint_url=url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("region", ["not a region", "", "a/b", "r\n"])
def test_a_region_that_is_none_is_refused(region):
    with pytest.raises(ConfigError, match="bucket_region"):
        endpoint_of("b-1", region)


@pytest.mark.parametrize("bucket", ["", "a/b", "..", "a b", "a?x", "a\n"])
def test_a_bucket_that_is_none_is_refused(bucket):
    with pytest.raises(ConfigError, match="bucket"):
        endpoint_of(bucket, "us-east-1", endpoint_url="http://127.0.0.1:9")


def test_a_combination_that_aws_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="FIPS"):
        endpoint_of("b-1", "cn-north-1", fips=True)


def test_the_path_holds_the_bucket_only_where_the_host_does_not():
    aws = endpoint_of("b-1", "us-east-1")
    assert target_of(aws, Request("X", "GET", "a b")) == ("/a%20b", "")
    assert target_of(aws, Request("X", "GET", "", (("list-type", "2"),))) == ("/", "list-type=2")
    given = endpoint_of("b-1", "us-east-1", endpoint_url="http://127.0.0.1:9")
    assert target_of(given, Request("X", "GET", "/a")) == ("/b-1//a", "")
    assert target_of(given, Request("X", "GET", "")) == ("/b-1", "")
