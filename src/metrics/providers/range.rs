//! The recent course of a template's query, for screens and reports: only of servers that speak Prometheus' API.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Number, asking, below, json, one_line, shaped};
use super::mask::Mask;
use super::{LONGEST_ERROR, PROVIDERS, checked, send};
use crate::metrics::{Check, Grid};
use crate::outbound::{Manner, Outbound};

/// Whether templates of this `spec.provider.type` can be asked for their recent course.
#[must_use]
pub fn can(kind: &str) -> bool {
    kind == "prometheus"
}

/// The query of `check` over the last `points` steps of `step`, oldest first; `None` where there is no sample.
///
/// # Errors
/// A sentence, without a secret in it: the provider is of another kind, refuses or does not answer.
pub async fn range(check: &Check<'_>, outbound: &impl Outbound, step: Duration, points: usize) -> Result<Vec<Option<f64>>, String> {
    let mut mask = Mask::of(check);
    let grid = Grid::ending(check.now, step, points);
    course(check, outbound, grid, &mut mask).await.map_err(|why| mask.quote(&why, LONGEST_ERROR))
}

async fn course(check: &Check<'_>, outbound: &impl Outbound, grid: Grid, mask: &mut Mask) -> Result<Vec<Option<f64>>, String> {
    let kind = check.provider.kind.as_str();
    let row = PROVIDERS.iter().find(|row| row.kind == kind && can(kind)).ok_or("only templates of type prometheus have a course")?;
    let address = checked(row, check.provider)?;
    let (query, start, end, step) = (one_line(check.query), grid.start.to_string(), grid.end.to_string(), grid.step.to_string());
    let fields = [("query", query.as_str()), ("start", start.as_str()), ("end", end.as_str()), ("step", step.as_str())];
    let call = Call::get(asking(below(address, ["api", "v1", "query_range"]), fields))?;
    let call = match check.secret {
        None => call,
        Some(_) if check.has("token") => call.bearer(check.secret("token")?)?,
        Some(_) => call.basic(check.secret("username")?, check.secret("password")?)?,
    };
    let manner = Manner { insecure: row.may_skip_verification && check.provider.insecure_skip_verify, ..Manner::within(row.deadline) };
    read(&send(call.with(check.provider)?, &manner, outbound, mask).await?, grid)
}

#[derive(Deserialize)]
struct Reply {
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    /// Seconds since 1970, and the sample; native histograms have none.
    #[serde(default)]
    values: Vec<(Number, Number)>,
}

/// The last series that has samples, as the check itself takes it.
fn read(body: &[u8], grid: Grid) -> Result<Vec<Option<f64>>, String> {
    let reply: Reply = json(body)?;
    let data = reply.data.ok_or_else(|| format!("the query failed, {}", reply.error.unwrap_or_else(|| "without a reason".into())))?;
    let series: Vec<Series> = shaped(data.result)?;
    let samples = series.into_iter().map(|s| s.values).rfind(|values| !values.is_empty()).unwrap_or_default();
    Ok(grid.place(samples.into_iter().filter_map(|(at, value)| Some((at.0?, value.0?)))))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn samples_stand_at_their_moments_and_gaps_stay_gaps() {
        let grid = Grid::ending(Timestamp::from_second(1_007).expect("a time"), Duration::from_secs(5), 4);
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"1"},"values":[]},
            {"metric":{"a":"2"},"values":[[990,"1.5"],[1000,"NaN"],[1005,"3"]]}]}}"#;
        assert_eq!(read(body, grid), Ok(vec![Some(1.5), None, None, Some(3.0)]));
        assert_eq!(read(br#"{"status":"error","error":"parse error"}"#, grid), Err("the query failed, parse error".into()));
        assert!(read(b"<html>", grid).is_err());
    }
}
