"""Personal data and secrets are told and never shown, and what only looks like them is left alone."""

import json

import pytest

from afinador.data.checks.personal_data import personal_data
from afinador.data.records import Record
from tests.afinador.data.judged_records import pairs


def kinds_in(text):
    return {problem.code for problem in personal_data(Record(1, {}), [("text", text)])}


@pytest.mark.parametrize(
    "code, text",
    [
        ("personal_email", "write to Ana.Lopez+x@correo.gob.mx, please"),
        ("personal_phone", "call +34 912 34 56 78 now"),
        ("personal_phone", "call (415) 555-0132"),
        ("personal_phone", "móvil 612 345 678"),
        ("personal_iban", "IBAN ES91 2100 0418 4502 0005 1332"),
        ("personal_iban", "GB82WEST12345698765432"),
        ("personal_card", "paid with 4111 1111 1111 1111"),
        ("personal_card", "5500-0055-5555-5559."),
        ("secret_private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        ("secret_token", "export KEY=sk-proj-abcdefghijklmnopqrstuvwx"),
        ("secret_token", "AKIAIOSFODNN7EXAMPLE"),
        ("secret_token", "ghp_" + "a1" * 18),
        ("secret_token", "sk-ant-" + "api03-" + "aB3_-" * 10),
        ("secret_token", "sk_" + "test_" + "4eC39HqLyjWDarjtT1zdp7dc"),
        ("secret_token", "ya29." + "a0AfH6SMBx1y2z3w4v5u6t7s8"),
        ("secret_token", "SG." + "ngeVfQFYQlKU0ufo8x5d1A" + "." + "TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"),
        ("secret_token", "post to https://hooks.slack.com/" + "services/T0123ABCD/B0123ABCD/abcdEFGH1234ijklMNOP5678"),
        ("secret_token", "sid: SK" + "0a1b2c3d" * 4),
        ("secret_token", "123456789:AA" + "Hk3f9_" * 5 + "abc"),
        ("secret_token", "Authorization: Bearer 9f86d081884c7d659a2feaa0c55ad015"),
        ("secret_token", 'headers["Authorization"] = "Basic YWRtaW46aHVudGVyMiF4"'),
        ("secret_token", "api_key=9f86d081884c7d659a2feaa0c55ad015"),
        ("secret_token", 'config["apiKey"] = "abcdef1234567890ABCD"'),
        ("secret_token", '{\\"client_secret\\": \\"q8Q~3kL9_mN2pR5tV7xZ1bD4fG6hJ\\"}'),
        ("secret_token", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        (
            "secret_token",
            "AccountName=a;AccountKey="
            + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        ("secret_token", "my API key: 9f86d081884c7d659a2feaa0c55ad015."),
        ("secret_password", "password=Sunshine42"),
        ("secret_password", "DB_PASSWORD: 's3cr3t!pass'"),
        ("secret_password", "contraseña: Girasol99"),
        ("secret_password", "La contraseña del wifi es Girasol#rojo"),
        ("secret_password", "The password is hunter2!x"),
        ("secret_password", "user: ana, pass: Girasol99"),
        ("secret_password", '{"user": "ana", "secret": "tr0ub4dor&3"}'),
        ("secret_password", "postgres://ana:hunter@db.internal:5432/prod"),
        ("personal_national_id", "DNI 12345678Z"),
        ("personal_national_id", "con NIE X1234567L."),
        ("personal_national_id", "SSN: 536-90-4399"),
        ("personal_national_id", "es HEGG560427MVZRRL04"),
        ("personal_national_id", "CURP: HEGG560427MVZRRL05"),
        ("personal_national_id", "su RFC es GODE561231GR8"),
        ("personal_national_id", "su RFC es GODE-561231-GR8"),
        ("personal_national_id", "su RFC es GOPÑ561231GR8"),
        ("personal_passport", "Passport: 123456"),
        ("personal_passport", "pasaporte número AAB123456"),
        ("personal_passport", "Passport No. 123456789"),
        ("personal_ip_address", "from the IP address 83.45.127.201 at noon"),
    ],
)
def test_personal_data_and_secrets_are_told_and_never_shown(verdict, code, text):
    assert code in kinds_in(text)
    report = verdict(pairs(11, {"prompt": "p", "completion": text}))
    (warning,) = [warning for warning in report.warnings if warning.code == code]
    assert report.is_valid and (warning.line, warning.field) == (12, "completion")
    assert [found for found in report.counts if found.startswith(("personal_", "secret_"))] == [code]
    told = json.dumps(report.to_json(), ensure_ascii=False)
    assert not any(word in told for word in text.split() if sum(map(str.isdigit, word)) > 2 or "@" in word)


@pytest.mark.parametrize(
    "text",
    [
        "a@b", "user@example.com", "@name and 3@4", "2026-11-22 10:15:30.123456", "1,234,567,890 people", "3.14159265358979",
        "ES91 2100 0418 4502 0005 1333", "4111 1111 1111 1112", "0000 0000 0000 0000", "192.168.100.200:8080", "sk-learn is fine",
        "ISBN 978-3-16-148410-0", "1234567890123456", "100 200 300 400", "begin PRIVATE KEYS", "12 345 678 euros",
        "password=<your password>", "password=$PASSWORD", "password: ${DB_PASSWORD1}", "password = ********", "pwd=xxxxxxx1", "password=changeme1",
        "password: password123", "password = get_password1(user)", "password=form['a1b2c3']", "pwd: /home/user1", "the password is base64-encoded",
        "password: string", '"password": "Contraseña"', "The password is required!", "passed: 12/15a tests", "bypass: route66x", "passwords: at least 8 characters", "password: self.password2",
        "api_key=your-api-key-0123456789", 'api_key=os.environ["OPENAI_API_KEY_2"]', "secret: db-credentials-v2", "token: tokenizers/mistral-v3-small",
        "token=0xdAC17F958D2ee523a2206206994597C13D831ec7", "the bearer of the news", "Bearer <token>", "secret_key: models/2024/checkpoints/best",
        "postgres://user:pass@host/db", "postgres://user:${PASSWORD}@host/db", "https://example.com:8080/@scope", "12345678A", "X1234567A",
        "000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "HEGG560427MVZRRL05", "XAXX010101000", "ABCD123456EFG", "passport 42",
        "IP 192.168.100.200", "IP ranges: 83.45.127.0/24", "IP 203.0.113.195", "version 10.20.30.401", "chapter IP: 2020.10.300.1", "ACCESS TASK", "SG.1", "K9 V8",
    ],
)  # fmt: skip
def test_what_only_looks_a_little_like_it_is_left_alone(text):
    assert kinds_in(text) == set()


@pytest.mark.parametrize("text", ["a" * 10**6, "1 " * 500_000, "a@" * 300_000, "+1" * 400_000, "ES" + "21" * 400_000,
    "password: " * 100_000, "password=" + "a1" * 500_000, "secret " * 140_000, "token=" + "a1b2" * 250_000, "a" * 10 + "://" + "a:" * 400_000 + "@",
    "IP " + "a" * 10**6 + "1.1.1.1", "ip 1." * 200_000, "passport " * 100_000 + "123456", "12345678" * 100_000, "AAAA000101" * 100_000,
    "password a b c d " * 60_000, "api_key " * 125_000, "x" * 60 + "://a" * 250_000, "bearer " * 140_000, "AC" * 10 + "0a" * 500_000])  # fmt: skip
def test_search_takes_no_longer_than_the_text(text):
    kinds_in(text)  # the time limit of the tests is the test: anything quadratic takes hours


def test_personal_data_are_told_of_each_field(verdict):
    report = verdict(
        [
            {"prompt": "ana@correo.gob.mx and b@correo.gob.mx", "completion": "ana@correo.gob.mx, password=Sunshine42"},
            {"prompt": "p", "completion": "password=Sunshine42 pwd: Girasol99#"},
        ]
    )
    told = [(each.line, each.field) for each in report.warnings if each.code == "personal_email"]
    assert told == [(1, "prompt"), (1, "completion")]
    assert [(each.line, each.field) for each in report.warnings if each.code == "secret_password"] == [
        (1, "completion"),
        (2, "completion"),
    ]
