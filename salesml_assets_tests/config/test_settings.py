"""The settings: where they come from, which goes first, and what is said of a wrong one."""

import datetime as dt
import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from salesml_assets.config.loading import load_settings
from salesml_assets.config.reference import effective_yaml, reference
from salesml_assets.config.settings import ConfigurationError, Settings
from salesml_assets.text import masked, masked_tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("SALESML_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def written(tmp_path: Path):
    """Writes a settings file into the working directory and loads it."""

    def write(text: str) -> Settings:
        (tmp_path / "salesml.yaml").write_text(text)
        return load_settings()

    return write


def test_without_a_file_and_environment_all_is_default(tmp_path):
    found = load_settings()

    assert found.sales.path == "s3a://processed-data/vendas_detalhadas"
    assert found.sales.columns.model_dump(exclude_none=True) == {
        "product": "produto", "category": "categoria_valor", "quantity": "quantidade",
        "revenue": "valor_total", "date": "data_venda",
    }  # fmt: skip
    assert (found.forecast.target, found.forecast.horizon, found.forecast.series) == ("revenue", 28, ["product"])
    assert found.lake.root == str(tmp_path / ".salesml" / "lake")
    assert found.today == dt.date.today()


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(written, monkeypatch):
    monkeypatch.setenv("SALESML_FORECAST__HORIZON", "7")
    monkeypatch.setenv("SALESML_FORECAST__SERIES", '["store", "product"]')
    found = written("forecast: {horizon: 14, target: quantity, frequency: W}\nclock: {today: 2011-12-10}")

    assert found.forecast.horizon == 7
    assert found.forecast.series == ["store", "product"]
    assert found.forecast.target == "quantity"
    assert found.forecast.frequency == "W"
    assert found.forecast.non_negative is True
    assert found.today == dt.date(2011, 12, 10)


def test_the_named_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "own.yaml").write_text("training: {seed: 1}")
    monkeypatch.setenv("SALESML_CONFIG", "below/own.yaml")
    assert load_settings().training.seed == 1
    assert load_settings().lake.root == str(tmp_path / "below" / ".salesml" / "lake")
    assert load_settings().registry.folder == str(tmp_path / "below" / ".salesml" / "mlflow")

    monkeypatch.setenv("SALESML_CONFIG", "other.yaml")
    with pytest.raises(ConfigurationError, match=r"^SALESML_CONFIG: there is no settings file 'other.yaml'"):
        load_settings()


def test_an_empty_file_is_no_error(written):
    assert written("# nothing yet\n").forecast.horizon == 28


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("data/x.parquet", "{here}/data/x.parquet"),
        ("../x", "{above}/x"),
        ("/data/x", "/data/x"),
        ("file:///data/x", "/data/x"),
        ("file:/data/x", "/data/x"),
        ("s3a://bucket/x", "s3a://bucket/x"),
        ("data/*.csv", "{here}/data/*.csv"),
    ],
)
def test_relative_paths_are_relative_to_the_file(written, tmp_path, monkeypatch, given_path, expected):
    text = yaml.safe_dump(
        {
            "sales": {"path": given_path},
            "lake": {"root": given_path},
            "forecast": {"known_future": {"path": given_path, "columns": ["promotion"]}},
        }
    )
    written(text)
    monkeypatch.setenv("SALESML_CONFIG", str(tmp_path / "salesml.yaml"))
    monkeypatch.chdir("/")
    found = load_settings()

    wanted = expected.format(here=tmp_path, above=tmp_path.parent)
    assert {found.sales.path, found.lake.root, found.forecast.known_future.path} == {wanted}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("forcast: {horizon: 7}", "forcast: there is no such key"),
        ("forecast: {horizn: 7}", "forecast.horizn: there is no such key"),
        ("sales: {columns: {produkt: x}}", "sales.columns.produkt: there is no such key"),
        ("forecast: {horizon: many}", "forecast.horizon: Input should be a valid integer"),
        ("forecast: {horizon: 0}", "forecast.horizon: Input should be greater than or equal to 1"),
        ("forecast: {series: []}", "forecast.series: List should have at least 1 item"),
        ("forecast: {series: [product, product]}", "forecast.series: a key is listed twice"),
        ("forecast: {series: [colour]}", "forecast.series.0: Input should be 'store', 'category' or 'product'"),
        ("forecast: {frequency: M}", "forecast.frequency: Input should be 'D', 'W'"),
        ("forecast: 3", "forecast: Input should be a valid dictionary"),
        ("sales: {first_month: 2010-13}", "sales.first_month: String should match pattern"),
        ("quality: {rules: [{name: a b, condition: x}]}", "quality.rules.0.name: String should match pattern"),
        ("quality: {rules: [{name: a}]}", "quality.rules.0.condition: Field required"),
        ("promotion: {alpha: 0.9}", "promotion.alpha: Input should be less than 0.5"),
        ("orders: {cost_under: 3}", "orders: set both cost_under and cost_over, or neither"),
        ("promotion: {metric: cost}", "promotion.metric: cost needs orders.cost_under and orders.cost_over"),
        ("spark: {master: 'spark://host:7077'}", "lake.root: '.salesml/lake' is a local folder"),
        ("{spark: {master: yarn}, lake: {root: 'file:///lake'}}", "lake.root: 'file:///lake' is a local folder"),
        ("lake: {root: 'sales #2/lake'}", "lake.root: tables cannot be stored below '"),
        ("lake: {root: 's3a://bucket/what?'}", "lake.root: tables cannot be stored below 's3a://bucket/what?'"),
        ("- 1", "salesml.yaml has to contain sections (sales:, forecast:, ...), not a list"),
        ("a: [", "salesml.yaml is not YAML"),
    ],
)
def test_a_wrong_file_is_one_error_that_names_the_key(written, text, message):
    with pytest.raises(ConfigurationError) as error:
        written(text)
    assert str(error.value).startswith(message)


def test_all_wrong_keys_are_named_at_once(written):
    with pytest.raises(ConfigurationError, match=r"^forecast.horizon: .*; promotion.alfa: there is no such key$"):
        written("forecast: {horizon: x}\npromotion: {alfa: 1}")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SALESML_FORCAST__HORIZON", "7", "SALESML_FORCAST__HORIZON: there is no section 'forcast'; sections: sales, "),
        ("salesml_forcast__horizon", "7", "salesml_forcast__horizon: there is no section 'forcast'"),
        ("SALESML_FORECAST__HORIZN", "7", "forecast.horizn: there is no such key"),
        ("SALESML_FORECAST__HORIZON", "many", "forecast.horizon: Input should be a valid integer"),
        ("SALESML_FORECAST__SERIES", "product", "SALESML_FORECAST__SERIES: lists and mappings are JSON, as in"),
        ("SALESML_FORECAST", "product", "SALESML_FORECAST: lists and mappings are JSON, as in"),
    ],
)
def test_a_wrong_variable_is_one_error_that_names_it(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value).startswith(message)


def test_variables_that_are_no_settings_are_left_alone(monkeypatch):
    monkeypatch.setenv("SALESML_JAVA", "bundled")
    monkeypatch.setenv("SALESMLX", "1")
    monkeypatch.setenv("SALESML_API_KEY", "a key")
    found = load_settings()
    assert found == Settings().model_copy(
        update={name: getattr(found, name) for name in ("lake", "serving", "registry", "search")}
    )
    assert "a key" not in str(found)


def test_a_cluster_works_with_a_lake_that_all_reach(written):
    found = written("{spark: {master: 'spark://host:7077'}, lake: {root: 's3a://bucket/lake'}}")
    assert found.lake.root == "s3a://bucket/lake"


def test_the_shipped_settings_are_valid(monkeypatch):
    monkeypatch.setenv("SALESML_CONFIG", str(ROOT / "salesml.yaml"))
    found = load_settings()
    assert Path(found.sales.path).is_file()
    assert found.sales.format == "parquet"


def test_the_service_level_is_the_ratio_of_the_costs(written):
    assert Settings().orders.service_level is None
    assert Settings().orders.costs == (1.0, 1.0)
    orders = written("orders: {cost_under: 0.6, cost_over: 0.2}").orders
    assert (orders.service_level, orders.costs) == (0.75, (0.6, 0.2))


def test_settings_do_not_change(written):
    with pytest.raises(ValueError, match="frozen"):
        written("").forecast.horizon = 3


def test_the_text_of_the_settings_is_settings_again(written):
    found = written("forecast: {horizon: 3}\nquality: {rules: [{name: big, condition: revenue > 9}]}")
    assert written(effective_yaml(found)) == found


def test_every_key_is_in_the_reference_with_a_meaning():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    keys = {row.split("`")[1] for row in rows}

    def leaves(values: dict, prefix: str = "") -> set[str]:
        found: set[str] = set()
        for key, value in values.items():
            nested = isinstance(value, dict) and value
            found |= leaves(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}"}
        return found

    assert keys == leaves(Settings().model_dump())
    assert all(len(row.rsplit(" | ", 1)[1]) > 5 for row in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3a://key:word@bucket/a@b", "s3a://***@bucket/a@b"),
        ("s3a://bucket/lake", "s3a://bucket/lake"),
        ("https://h/x?X-Amz-Signature=abc&n=1", "https://h/x?X-Amz-Signature=***&n=1"),
        ("mail to a@b.example, see http://h", "mail to a@b.example, see http://h"),
    ],
)
def test_addresses_are_masked(text, expected):
    assert masked(text) == expected


@given(secret=st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=6), user=st.sampled_from(["", "key:"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_secret_is_left_wherever_it_stands(secret, user):
    secret = f"zz{secret}zz"
    tree = {
        "spark": {"config": {"spark.hadoop.fs.s3a.access.key": secret, "my.Password": secret, "auth_token": secret}},
        "list": [f"s3a://{user}{secret}@bucket/x", {"credentials": [secret]}],
    }
    assert secret not in str(masked_tree(tree))
