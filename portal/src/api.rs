//! The same facts for programs. Field names are stable: added to, never changed.

use std::sync::Arc;

use proof::wire::Speaker;
use scorer::assessment::{Assessment, DayFact};
use scorer::{Fact, MetricId, Status, Text};
use serde_json::{Value, json};

use crate::http::Wishes;
use crate::lang::Lang;
use crate::pages::{Badge, pick};
use crate::source::{About, Firm, Said};

/// Most firms one answer names.
const MOST: usize = 1_000;

/// The firms that match, risk first.
pub(crate) fn firms(firms: &[Arc<Firm>], wishes: &Wishes) -> Result<String, serde_json::Error> {
    let (picked, _) = pick(firms, wishes);
    let rows: Vec<Value> = picked.iter().take(MOST).map(|firm| summary(firm)).collect();
    serde_json::to_string(&json!({ "firms": rows, "matched": picked.len() }))
}

/// One firm's assessment.
pub(crate) fn firm(firm: &Firm) -> Result<String, serde_json::Error> {
    let mut value = summary(firm);
    if let Value::Object(fields) = &mut value {
        fields.insert("assessment".to_owned(), assessment(&firm.assessment));
        fields.insert("chain".to_owned(), chain(firm));
    }
    serde_json::to_string(&value)
}

fn summary(firm: &Firm) -> Value {
    let a = &firm.assessment;
    json!({
        "firm": firm.id(),
        "name": { "zh": firm.project.name_zh, "en": firm.project.name_en },
        "city": firm.project.city,
        "district": firm.project.district,
        "headline": Badge::of(a.headline, Lang::Zh).code,
        "headline_text": { "zh": a.headline.zh(), "en": a.headline.en() },
        "use_level": a.level.code(),
        "flags": a.flags.iter().map(|flag| flag.code).collect::<Vec<_>>(),
        "coverage": a.coverage.share(),
        "active_day_percent": a.metric(MetricId::M01).and_then(|metric| metric.value),
        "windows": firm.chain.windows,
        "last_received_ms": firm.last_recv_ms(),
        "gateways_online": firm.gateways.iter().filter(|gateway| gateway.online == Some(true)).count(),
        "gateways": firm.gateways.len(),
    })
}

fn text(text: &Text) -> Value {
    json!({ "zh": text.zh, "en": text.en })
}

fn fact(fact: &Fact) -> Value {
    json!({ "text": text(&fact.text), "metric": fact.metric.map(MetricId::code), "days": days(&fact.days) })
}

fn days(days: &[DayFact]) -> Vec<Value> {
    let span = |span: &scorer::assessment::Span| json!({ "agent": span.agent.to_string(), "first": span.first, "last": span.last });
    days.iter()
        .map(|day| {
            let spans: Vec<Value> = day.spans.iter().map(span).collect();
            json!({ "date": day.date.to_string(), "hit": day.hit, "count": day.count, "entries": spans })
        })
        .collect()
}

fn metric(metric: &scorer::Metric) -> Value {
    let status = match metric.status {
        Status::Green => "green",
        Status::Amber => "amber",
        Status::Red => "red",
        Status::Info => "info",
        Status::None => "none",
    };
    json!({
        "id": metric.id.code(),
        "name": text(&metric.name),
        "value": metric.value,
        "shown": metric.shown,
        "date": metric.date.map(|date| date.to_string()),
        "sample": metric.sample,
        "interval": metric.interval.map(|interval| [interval.low, interval.high]),
        "status": status,
        "thresholds": text(&metric.thresholds),
        "formula": text(&metric.formula),
        "numerator": metric.numerator,
        "denominator": metric.denominator,
        "remark": metric.remark.as_ref().map(text),
        "days": days(&metric.days),
    })
}

/// What a detection rule says.
fn finding(f: &scorer::Finding) -> Value {
    use scorer::Outcome;

    let outcome = match f.outcome {
        Outcome::NotComputable => "not_computable",
        Outcome::Clear => "clear",
        Outcome::Ask => "ask",
        Outcome::AskStrongly => "ask_strongly",
        Outcome::Proven => "proven",
    };
    let chart: Vec<Value> =
        f.chart.iter().map(|bar| json!({ "label": bar.label, "value": bar.value })).collect();
    json!({
        "id": f.id, "version": f.version, "family": f.family.letter().to_string(), "name": text(&f.name),
        "outcome": outcome, "text": text(&f.text), "sample": f.sample, "effect": f.effect,
        "honest": f.honest.iter().map(text).collect::<Vec<_>>(), "days": days(&f.days), "chart": chart,
    })
}

fn assessment(a: &Assessment) -> Value {
    let module = |m: &scorer::assessment::ModuleUse| {
        json!({
            "code": m.code, "name": text(&m.name), "star": m.star, "use_level": m.level.code(),
            "because": text(&m.because), "in_view": m.in_view, "coverage": m.coverage,
            "key_actions": m.key_actions, "active_days": m.active_days, "observed_days": m.observed_days,
            "accounts": m.accounts, "daily": m.daily,
        })
    };
    let flag = |f: &scorer::Flag| {
        let indicators: Vec<Value> = f
            .indicators
            .iter()
            .map(|i| json!({ "text": text(&i.text), "source": text(&i.source), "days": days(&i.days) }))
            .collect();
        json!({ "code": f.code, "name": text(&f.name), "indicators": indicators, "advice": text(&f.advice) })
    };
    json!({
        "disclaimer": { "zh": scorer::assessment::DISCLAIMER.0, "en": scorer::assessment::DISCLAIMER.1 },
        "window": {
            "from": a.window.from.to_string(), "to": a.window.to.to_string(), "begins": text(&a.window.begins),
            "working_days": a.window.working_days, "observed_days": a.window.observed_days,
            "stopped_days": a.window.stopped_days,
        },
        "coverage": {
            "planned_minutes": a.coverage.planned, "observed_minutes": a.coverage.observed,
            "decisive_minutes": a.coverage.decisive,
        },
        "grades": { "windows": a.evidence.windows, "actions": a.evidence.actions },
        "origins": {
            "live": a.evidence.live, "backfill": a.evidence.backfill, "declared": a.evidence.declared,
        },
        "profile": {
            "name": a.profile.name, "title": text(&a.profile.title), "version": a.profile.version,
            "origin": a.profile.origin,
        },
        "trend": a.trend.as_ref().map(text),
        "marks": a.marks.iter().map(text).collect::<Vec<_>>(),
        "level_because": a.level_because.iter().map(text).collect::<Vec<_>>(),
        "facts_for": a.facts_for.iter().map(fact).collect::<Vec<_>>(),
        "facts_against": a.facts_against.iter().map(fact).collect::<Vec<_>>(),
        "findings": a.findings.iter().map(finding).collect::<Vec<_>>(),
        "flags": a.flags.iter().map(flag).collect::<Vec<_>>(),
        "metrics": a.metrics.iter().map(metric).collect::<Vec<_>>(),
        "modules": a.modules.iter().map(module).collect::<Vec<_>>(),
        "days": a.days.iter().map(|day| day.date.to_string()).collect::<Vec<_>>(),
        "notes": a.notes.iter().map(text).collect::<Vec<_>>(),
    })
}

/// A label: what somebody says, beside what is recorded.
fn said(said: &Said) -> Value {
    let about = match said.about {
        About::Time { from_ms, to_ms } => json!({ "from_ms": from_ms, "to_ms": to_ms }),
        About::Seqs { from, to } => json!({ "from_seq": from, "to_seq": to }),
    };
    let by = match said.by {
        Speaker::Unspecified => None,
        Speaker::Firm => Some("firm"),
        Speaker::Provider => Some("provider"),
        Speaker::Operator => Some("operator"),
    };
    json!({
        "agent": said.agent.to_string(), "seq": said.seq, "received_ms": said.recv_ms, "late": said.is_late,
        "about": about, "source": said.source, "cause": char::from(said.cause.letter()).to_string(),
        "text": said.text, "by": by, "name": said.name,
    })
}

fn chain(firm: &Firm) -> Value {
    let findings: serde_json::Map<String, Value> = firm
        .chain
        .findings
        .iter()
        .map(|(finding, count)| (finding.name().to_owned(), json!(count)))
        .collect();
    json!({
        "windows": firm.chain.windows, "outages": firm.chain.outages, "manifests": firm.chain.manifests,
        "labels": firm.chain.labels, "digests": firm.chain.digests, "openings": firm.chain.openings, "key_rotations": firm.chain.rotations, "said": firm.chain.said.iter().map(said).collect::<Vec<_>>(),
        "unknown_kinds": firm.chain.others, "conflicts": firm.forks(), "findings": findings,
        "refusals": firm.chain.refusals.iter()
            .map(|r| json!({ "name": r.name, "count": r.count, "last_ms": r.last_ms }))
            .collect::<Vec<_>>(),
    })
}
