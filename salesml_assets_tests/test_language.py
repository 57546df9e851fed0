"""The languages of the report: complete catalogues, the same placeholders, nothing left in English."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from gettext import NullTranslations
from string import Formatter

import pytest

from salesml_assets import language as languages
from salesml_assets.config.settings import Settings
from salesml_assets.forecasting.feature_words import KEYS, OTHER, PARTS, RULES, in_words
from salesml_assets.forecasting.features import FeatureSpec
from salesml_assets.forecasting.panel_features import panel_features, planned_group
from salesml_assets.language import LANGUAGES, STORED, catalogue, language, stored
from salesml_assets.quality.rules import DEFAULT_NAMES
from salesml_assets.reporting import formats, readings
from salesml_assets.reporting.figures import pictures
from salesml_assets.reporting.html import render_report
from salesml_assets.reporting.markdown import summary_markdown
from salesml_assets_tests.reporting.sample import bare_report, full_report
from salesml_assets_tests.reporting.test_ab_test import with_test
from tools import messages

OTHERS = [name for name in LANGUAGES if name != "en"]
# The same in English and in Portuguese.
SAME = {"Base", "Backtest", "Gradient boosting", "WAPE, {model}", "mix", "zero"}
PROPER_NAMES = {"XGBoost", "WAPE", "RMSE", "MAE", "R²", "RMSSE"}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", OTHERS)
def test_each_message_of_the_source_is_translated_and_no_other(name):
    known = {message.id for message in catalogue(name) if message.id and message.context is None}
    assert known == messages.extracted()


@pytest.mark.parametrize("name", OTHERS)
def test_the_catalogue_is_as_the_tool_writes_it(name):
    assert messages.catalogue_path(name).read_bytes() == messages.updated(name, messages.extracted())


@pytest.mark.parametrize("name", OTHERS)
def test_translations_are_there_with_the_same_placeholders(name):
    for message in catalogue(name):
        if not message.id:
            continue
        sources = [message.id] if isinstance(message.id, str) else list(message.id)
        translations = [message.string] if isinstance(message.string, str) else list(message.string)
        assert len(translations) == len(sources)
        for source, translation in zip(sources, translations, strict=True):
            assert translation.strip(), source
            assert placeholders(translation) == placeholders(source), source
            assert translation != source or source in SAME, source
            assert translation[-1:] == source[-1:] or source[-1] not in ".:", source


class _Missing(NullTranslations):
    def gettext(self, message):
        if message not in PROPER_NAMES:
            raise AssertionError(f"not translated: {message}")
        return message

    def ngettext(self, msgid1, msgid2, n):
        raise AssertionError(f"not translated: {msgid1}")


@pytest.fixture
def strict(monkeypatch):
    translations = languages._translations("pt")
    monkeypatch.setattr(translations, "_fallback", _Missing())


@pytest.mark.parametrize("made", [full_report, bare_report, lambda: with_test(60)], ids=["full", "bare", "ab_test"])
@pytest.mark.parametrize("frequency", ["D", "W-SUN"])
def test_the_whole_report_is_translated(strict, made, frequency):
    data = replace(made(), language="pt", frequency=frequency)
    drawn = pictures(data)
    page = render_report(data, drawn)
    assert '<html lang="pt-BR">' in page
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    for words in ("Relatório de previsão de vendas", "Modelo em produção", "O que fazer agora", "Glossário"):
        assert words in text
    left = re.findall(r"\b(?:the|of|and|with|forecast|week|days?|lower|better|set aside)\b", text)
    # Names and reasons of the sample are data: they are as they were given.
    given = f"{data.decision.get('reason')} {data.started_by} {data.ab_test and data.ab_test['reason']}"
    assert set(left) <= set(re.findall(r"\w+", given)), left
    assert "Modelo em produção" in summary_markdown(data)


def test_numbers_and_dates_have_the_form_of_the_language():
    with language("pt"):
        assert formats.number(1234567.891, 1) == "1.234.567,9"
        assert formats.number(-1234.5, 1) == "−1.234,5"
        assert formats.percent(0.1234) == "12,3%"
        assert formats.day(dt.date(2026, 11, 27)) == "27/11/2026"
        assert formats.amount(1_240_000) == "1,24 milhão"
        assert formats.amount(2_500_000) == "2,50 milhões"
        assert formats.compact(1500) == "1,5 mil"
        assert formats.p_value(0.00001) == "< 0,001"
        assert formats.duration(3.21) == "3,2 s"
    assert formats.number(1234.5, 1) == "1,234.5"
    assert formats.day(dt.date(2026, 11, 27)) == "27 Nov 2026"


def test_axes_are_in_the_language_though_they_are_drawn_later():
    data = replace(full_report(), language="pt")
    axes = pictures(data)["total_over_time"].figure.axes[0]
    axes.figure.canvas.draw()
    dates = " ".join(label.get_text() for label in axes.get_xticklabels())
    assert re.search(r"\b(abr|mai|jun|jul) 2024", dates), dates
    assert axes.get_ylabel() == "Receita por dia"


SPECS = [
    FeatureSpec(weekly=weekly, numbers=("promo",), plan_groups=("store", "category"), calendar_features=True,
                holidays=(("", "2000-01-01", ""),))
    for weekly in (False, True)
]  # fmt: skip


def test_all_labels_and_groups_of_features_are_translated():
    texts = {in_words(feature.label, spec.weekly) for spec in SPECS for feature in panel_features(spec)} - {"Promo"}
    texts |= {feature.group for spec in SPECS for feature in panel_features(spec)}
    texts |= {*KEYS.values(), RULES, OTHER, planned_group("flyer"), *(text for pair in PARTS.values() for text in pair)}
    with language("pt"):
        assert [text for text in sorted(texts) if stored(text) == text] == []
        assert stored("Promo, mean of the store") == "Promo, média da loja"
        assert stored("Mean of the last 28 days") == "Média dos últimos 28 dias"


def test_rules_and_drifts_are_translated():
    with language("pt"):
        assert [name for name in DEFAULT_NAMES if formats.word(name) == name.replace("_", " ")] == []
        assert stored("A revenue far above what is usual for the product.") == (
            "Valor de receita muito acima do usual para o produto."
        )
        drift = "drift of input, target in the week from 2011-10-31: the drift seen first on 2011-11-07, "
        assert stored(drift + "which no retrain has answered before") == (
            "deriva de entrada, vendas na semana de 2011-10-31: a deriva vista primeiro em 2011-11-07, à qual nenhum "
            "retreino respondeu antes"
        )


def test_what_the_catalogue_does_not_know_stays():
    with language("pt"):
        assert stored("Flyer of <b>") == "Flyer of <b>"
        assert formats.word("my_rule") == "my rule"
    assert stored("Mean of the last 28 days") == "Mean of the last 28 days"


def test_a_decision_of_an_earlier_release_keeps_its_english_reason():
    data = full_report()
    with language("pt"):
        assert readings.decided(data) == data.decision["reason"]
    told = replace(data, decision={**data.decision, "reasons": {"en": "because", "pt": "porque"}})
    with language("pt"):
        assert readings.decided(told) == "Porque"
    assert readings.decided(told) == "Because"


def test_stored_messages_are_unique():
    ids = [message.id for message in catalogue("pt") if message.context == STORED]
    assert len(ids) == len(set(ids))


def test_the_language_is_a_setting():
    assert Settings().report.language == "en"
    assert Settings(report={"language": "pt"}).report.language == "pt"
