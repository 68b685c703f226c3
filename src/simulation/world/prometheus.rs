//! The cluster's Prometheus: its HTTP API over the series of the traffic, sampled at intervals and seen with a delay.
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::faults::MetricsFault;
use super::promql::{Aggregate, Expr, Selector, parse};
use super::series::{Series, select};
use super::traffic::Behaviour;

/// How old the newest sample of a series may be, in milliseconds.
const LOOKBACK: i64 = 300_000;
/// Prometheus' limit for the points of one range query.
const MOST_POINTS: i64 = 11_000;
const GOOD: Behaviour = Behaviour { errors: 0.0, milliseconds: 20.0 };
const BAD: Behaviour = Behaviour { errors: 1.0, milliseconds: 5000.0 };

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Scalar(f64),
    Vector(Vec<Sample>),
}

/// Where and how a query looks.
struct Evaluation<'a> {
    world: &'a World,
    /// Milliseconds since 1970.
    at: i64,
    /// The newest scrape that can be seen.
    visible: i64,
    lie: Option<Behaviour>,
    found: &'a Found<'a>,
}

/// The series of each selector of one query, by the selector's place: a range asks for the same ones at every step.
type Found<'a> = RefCell<BTreeMap<usize, Rc<Vec<Series<'a>>>>>;

impl World {
    /// The answer of the cluster's Prometheus to a request, as status and body.
    pub fn prometheus(&self, now: Timestamp, method: &Method, path_and_query: &str, body: &[u8]) -> (u16, String) {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        match self.faults.metrics {
            Some(MetricsFault::Down) => return (503, refused("prometheus")),
            Some(MetricsFault::Garbage) => {
                return (200, "<!DOCTYPE html><title>Sign in</title>".into());
            }
            Some(MetricsFault::ServerError) => {
                return (500, failure("internal", "storage is not available"));
            }
            _ => {}
        }
        let mut fields = decode(query);
        if method == Method::POST {
            fields.extend(decode(&String::from_utf8_lossy(body)));
        }
        match (path, method.as_str()) {
            ("/-/ready" | "/-/healthy", _) => (200, "Prometheus Server is Ready.\n".into()),
            ("/api/v1/status/buildinfo", "GET") => (200, success(json!({"version": "3.5.0", "revision": "", "goVersion": ""}))),
            ("/api/v1/query", "GET" | "POST") => reply(self.instant(now, &fields)),
            ("/api/v1/query_range", "GET" | "POST") => reply(self.range(now, &fields)),
            _ => (404, "404 page not found\n".into()),
        }
    }

    fn instant(&self, now: Timestamp, fields: &BTreeMap<String, String>) -> Result<Value, String> {
        let expr = expression(fields)?;
        let at = time(fields, "time")?.unwrap_or(now.as_millisecond());
        let stamp = seconds(at);
        Ok(match self.evaluate(now, at, &expr, &Found::default())? {
            Answer::Scalar(value) => {
                json!({"resultType": "scalar", "result": [stamp, number(value)]})
            }
            Answer::Vector(samples) => {
                let result: Vec<Value> =
                    samples.into_iter().map(|s| json!({"metric": s.labels, "value": [stamp, number(s.value)]})).collect();
                json!({"resultType": "vector", "result": result})
            }
        })
    }

    fn range(&self, now: Timestamp, fields: &BTreeMap<String, String>) -> Result<Value, String> {
        let expr = expression(fields)?;
        let need =
            |name: &str| time(fields, name)?.ok_or_else(|| format!("invalid parameter \"{name}\": cannot parse \"\" to a valid timestamp"));
        let (start, end) = (need("start")?, need("end")?);
        let step = fields.get("step").and_then(|s| s.parse::<f64>().ok()).map_or(0, to_milliseconds);
        if step <= 0 {
            return Err(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer".into(),
            );
        }
        if end < start {
            return Err("invalid parameter \"end\": end timestamp must not be before start time".into());
        }
        if (end - start) / step > MOST_POINTS {
            return Err(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)".into()
            );
        }
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<Value>> = BTreeMap::new();
        let found = Found::default();
        for index in 0..=(end - start) / step {
            let at = start + index * step;
            let samples = match self.evaluate(now, at, &expr, &found)? {
                Answer::Scalar(value) => vec![Sample { labels: BTreeMap::new(), value }],
                Answer::Vector(samples) => samples,
            };
            for sample in samples {
                series.entry(sample.labels).or_default().push(json!([seconds(at), number(sample.value)]));
            }
        }
        let result: Vec<Value> = series.into_iter().map(|(metric, values)| json!({"metric": metric, "values": values})).collect();
        Ok(json!({"resultType": "matrix", "result": result}))
    }

    fn evaluate<'a>(&'a self, now: Timestamp, at: i64, expr: &Expr, found: &'a Found<'a>) -> Result<Answer, String> {
        let frozen = match self.faults.metrics {
            Some(MetricsFault::Frozen(since)) => Some(since.as_millisecond()),
            _ => None,
        };
        // A frozen Prometheus answers as if it were still that moment.
        let shift = frozen.map_or(0, |since| (now.as_millisecond() - since).max(0));
        let (now, at) = (now.as_millisecond() - shift, at - shift);
        let delay = i64::try_from(self.options.scrape_delay).unwrap_or(0);
        let lie = match self.faults.metrics {
            Some(MetricsFault::AlwaysGood) => Some(GOOD),
            Some(MetricsFault::AlwaysBad) => Some(BAD),
            _ => None,
        };
        let mut answer = Evaluation { world: self, at, visible: now.min(at).min(now - delay), lie, found }.of(expr)?;
        if let (Some(MetricsFault::NotANumber), Answer::Vector(samples)) = (self.faults.metrics, &mut answer) {
            for sample in samples {
                sample.value = f64::NAN;
            }
        }
        Ok(answer)
    }

    /// Scrapes happen at multiples of the interval, shifted a little in each cluster.
    fn scrapes(&self, after: i64, until: i64) -> impl DoubleEndedIterator<Item = i64> + use<> {
        let interval = i64::try_from(self.options.scrape_interval).unwrap_or(i64::MAX).max(1);
        let offset = i64::try_from(self.options.seed % 1000).unwrap_or(0) % interval;
        let first = (after - offset).div_euclid(interval) + 1;
        let last = (until - offset).div_euclid(interval);
        (first..=last).map(move |index| index * interval + offset)
    }
}

impl<'a> Evaluation<'a> {
    fn of(&self, expr: &Expr) -> Result<Answer, String> {
        Ok(match expr {
            Expr::Number(value) => Answer::Scalar(*value),
            Expr::Instant(selector) => Answer::Vector(self.newest(selector)),
            Expr::Increase { selector, window, per_second } => Answer::Vector(self.increase(selector, *window, *per_second)),
            Expr::Vector(inner) => match self.of(inner)? {
                Answer::Scalar(value) => Answer::Vector(vec![Sample { labels: BTreeMap::new(), value }]),
                Answer::Vector(_) => {
                    return Err(parse_error("expected type scalar in call to function \"vector\", got instant vector"));
                }
            },
            Expr::Quantile(quantile, inner) => match (self.of(quantile)?, self.of(inner)?) {
                (Answer::Scalar(quantile), Answer::Vector(buckets)) => Answer::Vector(quantiles(quantile, buckets)),
                _ => {
                    return Err(parse_error("expected a scalar and an instant vector in call to function \"histogram_quantile\""));
                }
            },
            Expr::Aggregate { how, by, inner } => match self.of(inner)? {
                Answer::Vector(samples) => Answer::Vector(aggregate(*how, by, samples)),
                Answer::Scalar(_) => {
                    return Err(parse_error("expected type instant vector in aggregation expression, got scalar"));
                }
            },
            Expr::Negative(inner) => combine('*', Answer::Scalar(-1.0), self.of(inner)?),
            Expr::Or(left, right) => match (self.of(left)?, self.of(right)?) {
                (Answer::Vector(left), Answer::Vector(right)) => Answer::Vector(either(left, right)),
                _ => return Err(parse_error("set operator \"or\" not allowed in binary scalar expression")),
            },
            Expr::Binary(operator, left, right) => combine(*operator, self.of(left)?, self.of(right)?),
        })
    }

    fn series(&self, selector: &Selector) -> Rc<Vec<Series<'a>>> {
        if self.world.faults.metrics == Some(MetricsFault::Empty) {
            return Rc::default();
        }
        let place = std::ptr::from_ref(selector).addr();
        let mut found = self.found.borrow_mut();
        Rc::clone(found.entry(place).or_insert_with(|| Rc::new(select(self.world.traffic.all(), selector))))
    }

    fn newest(&self, selector: &Selector) -> Vec<Sample> {
        let scrape = self.world.scrapes(self.at - LOOKBACK, self.visible).next_back().and_then(stamp);
        let sample = |series: &Series<'_>| {
            let mut labels = series.labels();
            labels.insert("__name__".into(), series.metric().into());
            Some(Sample { value: series.at(scrape?, self.lie)?, labels })
        };
        self.series(selector).iter().filter_map(sample).collect()
    }

    fn increase(&self, selector: &Selector, window: i64, per_second: bool) -> Vec<Sample> {
        let scrapes: Vec<(i64, Timestamp)> =
            self.world.scrapes(self.at - window, self.visible).filter_map(|scrape| Some((scrape, stamp(scrape)?))).collect();
        let of = |series: &Series<'_>| {
            let read = |(time, scrape): &(i64, Timestamp)| Some((*time, series.at(*scrape, self.lie)?));
            // Counters here never begin anew, so that the first and the last sample tell all.
            let first = scrapes.iter().find_map(read)?;
            let last = scrapes.iter().rev().find_map(read)?;
            let count = scrapes.iter().filter(|(time, _)| (first.0..=last.0).contains(time)).count();
            Some(Sample { value: extrapolate(self.at - window, self.at, first, last, count, per_second)?, labels: series.labels() })
        };
        self.series(selector).iter().filter_map(of).collect()
    }
}

/// Prometheus' `extrapolatedRate`: the change between the samples, stretched towards the ends of the window where they
/// are near enough, and never below zero.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a window are far below 2^52")]
fn extrapolate(from: i64, to: i64, first: (i64, f64), last: (i64, f64), count: usize, per_second: bool) -> Option<f64> {
    if count < 2 {
        return None;
    }
    let change = last.1 - first.1;
    let sampled = (last.0 - first.0) as f64 / 1000.0;
    let between = sampled / (count - 1) as f64;
    let (mut before, mut after) = ((first.0 - from) as f64 / 1000.0, (to - last.0) as f64 / 1000.0);
    let threshold = between * 1.1;
    if before >= threshold {
        before = between / 2.0;
    }
    if change > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * (first.1 / change));
    }
    if after >= threshold {
        after = between / 2.0;
    }
    let total = change * ((sampled + before + after) / sampled);
    Some(if per_second { total / ((to - from) as f64 / 1000.0) } else { total })
}

#[expect(clippy::cast_precision_loss, reason = "series are few")]
fn aggregate(how: Aggregate, by: &[String], samples: Vec<Sample>) -> Vec<Sample> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<f64>> = BTreeMap::new();
    for mut sample in samples {
        sample.labels.retain(|label, _| by.contains(label));
        groups.entry(sample.labels).or_default().push(sample.value);
    }
    let of = |values: &[f64]| match how {
        Aggregate::Sum => values.iter().sum(),
        Aggregate::Average => values.iter().sum::<f64>() / values.len() as f64,
        Aggregate::Least => values.iter().copied().fold(f64::NAN, f64::min),
        Aggregate::Most => values.iter().copied().fold(f64::NAN, f64::max),
        Aggregate::Count => values.len() as f64,
    };
    groups.into_iter().map(|(labels, values)| Sample { value: of(&values), labels }).collect()
}

/// All of `left`, and those of `right` whose labels none of them has; the metric's name is no label here.
fn either(left: Vec<Sample>, right: Vec<Sample>) -> Vec<Sample> {
    let labels = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("__name__");
        labels
    };
    let known: Vec<_> = left.iter().map(labels).collect();
    let others = right.into_iter().filter(|sample| !known.contains(&labels(sample)));
    left.into_iter().chain(others).collect()
}

/// Arithmetic; vectors are matched by equal labels.
fn combine(operator: char, left: Answer, right: Answer) -> Answer {
    let apply = |a: f64, b: f64| match operator {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ => a / b,
    };
    let nameless = |mut sample: Sample| {
        sample.labels.remove("__name__");
        sample
    };
    match (left, right) {
        (Answer::Scalar(a), Answer::Scalar(b)) => Answer::Scalar(apply(a, b)),
        (Answer::Vector(a), Answer::Scalar(b)) => {
            Answer::Vector(a.into_iter().map(nameless).map(|s| Sample { value: apply(s.value, b), ..s }).collect())
        }
        (Answer::Scalar(a), Answer::Vector(b)) => {
            Answer::Vector(b.into_iter().map(nameless).map(|s| Sample { value: apply(a, s.value), ..s }).collect())
        }
        (Answer::Vector(a), Answer::Vector(b)) => {
            let right: BTreeMap<_, _> = b.into_iter().map(nameless).map(|s| (s.labels, s.value)).collect();
            let pair = |s: Sample| right.get(&s.labels).map(|b| Sample { value: apply(s.value, *b), ..s.clone() });
            Answer::Vector(a.into_iter().map(nameless).filter_map(pair).collect())
        }
    }
}

/// `histogram_quantile` for classic buckets: linear within a bucket, the second highest bound for what is beyond it.
fn quantiles(quantile: f64, buckets: Vec<Sample>) -> Vec<Sample> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for mut sample in buckets {
        sample.labels.remove("__name__");
        let Some(bound) = sample.labels.remove("le").and_then(|le| le.parse().ok()) else {
            continue;
        };
        groups.entry(sample.labels).or_default().push((bound, sample.value));
    }
    groups.into_iter().map(|(labels, buckets)| Sample { value: bucket_quantile(quantile, buckets), labels }).collect()
}

fn bucket_quantile(quantile: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut most = 0.0_f64;
    for (_, count) in &mut buckets {
        most = most.max(*count);
        *count = most;
    }
    match buckets.last() {
        Some((bound, _)) if bound.is_infinite() && buckets.len() >= 2 => {}
        _ => return f64::NAN,
    }
    if quantile.is_nan() || most <= 0.0 {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = quantile * most;
    let last = buckets.len() - 1;
    let index = buckets[..last].iter().position(|(_, count)| *count >= rank).unwrap_or(last);
    let (bound, count) = buckets[index];
    let (start, before) = index.checked_sub(1).map_or((0.0, 0.0), |i| buckets[i]);
    if index == last {
        return start;
    }
    start + (bound - start) * ((rank - before) / (count - before))
}

fn expression(fields: &BTreeMap<String, String>) -> Result<Expr, String> {
    parse(fields.get("query").map_or("", String::as_str)).map_err(|why| format!("invalid parameter \"query\": {why}"))
}

fn parse_error(why: &str) -> String {
    format!("invalid parameter \"query\": parse error: {why}")
}

/// Milliseconds of a parameter that holds seconds since 1970 or an RFC 3339 time.
fn time(fields: &BTreeMap<String, String>, name: &str) -> Result<Option<i64>, String> {
    let Some(text) = fields.get(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite()).map(to_milliseconds);
    let found = number.or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond));
    found.map(Some).ok_or_else(|| format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp"))
}

#[expect(clippy::cast_possible_truncation, reason = "out of range saturates")]
fn to_milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
fn seconds(milliseconds: i64) -> Value {
    if milliseconds % 1000 == 0 { json!(milliseconds / 1000) } else { json!(milliseconds as f64 / 1000.0) }
}

fn stamp(millisecond: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millisecond).ok()
}

/// A sample's value as text, as Go writes it.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let mut out = String::new();
    let _ = write!(out, "{value}");
    out
}

fn reply(result: Result<Value, String>) -> (u16, String) {
    match result {
        Ok(data) => (200, success(data)),
        Err(why) => (400, failure("bad_data", &why)),
    }
}

fn success(data: Value) -> String {
    json!({"status": "success", "data": data}).to_string()
}

fn failure(kind: &str, why: &str) -> String {
    json!({"status": "error", "errorType": kind, "error": why}).to_string()
}

/// What the API server says where a Service's pod refuses the connection.
pub(super) fn refused(service: &str) -> String {
    let message = format!("error trying to reach service: dial tcp {service}: connect: connection refused");
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "ServiceUnavailable", "code": 503})
        .to_string()
}

/// Fields of a query string or a form.
fn decode(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(key, value)| (unescape(key), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = || u8::from_str_radix(std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?, 16).ok();
        match byte {
            b'%' if hex().is_some() => {
                out.extend(hex());
                at += 2;
            }
            b'+' => out.push(b' '),
            byte => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn rates_are_stretched_to_the_ends_of_the_window() {
        let rate = |first, last, count| extrapolate(0, 60_000, first, last, count, true);
        assert_eq!(rate((5000, 0.0), (5000, 0.0), 1), None);
        // Samples all five seconds: both ends are near enough to be reached.
        near(rate((2000, 1000.0), (57_000, 1550.0), 12).expect("a rate"), 10.0);
        // Samples stop in the middle: half a step more is assumed.
        near(rate((2000, 1000.0), (32_000, 1300.0), 7).expect("a rate"), 10.0 * 34.5 / 60.0);
        // A counter that began at zero was not there before.
        near(rate((4000, 0.0), (59_000, 550.0), 12).expect("a rate"), 10.0 * 56.0 / 60.0);
        near(extrapolate(0, 60_000, (2000, 1000.0), (57_000, 1550.0), 12, false).expect("an increase"), 600.0);
    }

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        let buckets = vec![(10.0, 50.0), (20.0, 90.0), (50.0, 99.0), (f64::INFINITY, 100.0)];
        near(bucket_quantile(0.5, buckets.clone()), 10.0);
        near(bucket_quantile(0.7, buckets.clone()), 15.0);
        near(bucket_quantile(0.999, buckets.clone()), 50.0);
        assert!(bucket_quantile(0.5, vec![(10.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
        assert!(bucket_quantile(0.5, vec![(10.0, 1.0)]).is_nan());
        assert!(bucket_quantile(1.5, buckets).is_infinite());
    }

    #[test]
    fn vectors_meet_by_their_labels() {
        let sample = |label: &str, value: f64| Sample { labels: [("a".to_owned(), label.to_owned())].into(), value };
        let quotient = combine('/', Answer::Vector(vec![sample("x", 6.0), sample("y", 1.0)]), Answer::Vector(vec![sample("x", 2.0)]));
        assert_eq!(quotient, Answer::Vector(vec![sample("x", 3.0)]));
        let samples = vec![sample("x", 6.0), sample("y", 2.0)];
        let of = |how| aggregate(how, &[], samples.clone())[0].value;
        let all = [Aggregate::Sum, Aggregate::Average, Aggregate::Least, Aggregate::Most, Aggregate::Count].map(of);
        assert!(all.iter().zip([8.0, 4.0, 2.0, 6.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{all:?}");
        assert_eq!(aggregate(Aggregate::Sum, &["a".to_owned()], samples.clone()), samples);
    }

    #[test]
    fn fields_are_unescaped_and_numbers_written_as_go_does() {
        assert_eq!(decode("query=a%2Bb+c&x"), [("query".to_owned(), "a+b c".to_owned()), ("x".to_owned(), String::new())].into());
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5, 1e21].map(number),
            ["NaN", "+Inf", "-Inf", "0.5", "1000000000000000000000"]
        );
    }
}
