//! `InfluxDB` 2: Flux queries, answered in annotated CSV (rollout-contract §6.5).

use std::time::Duration;

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use url::Url;

use super::Provider;
use super::call::{Call, Number, asking, below};
use crate::metrics::Check;

/// Flagger's limit for this server.
const DEADLINE: Duration = Duration::from_secs(15);
/// Types of a column that hold numbers.
const NUMBERS: [&str; 3] = ["double", "long", "unsignedLong"];

pub const PROVIDER: Provider = Provider { deadline: DEADLINE, ..Provider::plain("influxdb", request, read) };

fn request(check: &Check<'_>, address: Url, _: Option<&[u8]>) -> Result<Call, String> {
    let dialect = json!({"annotations": ["datatype", "group", "default"], "delimiter": ",", "header": true});
    let body = json!({"query": check.query, "type": "flux", "dialect": dialect}).to_string();
    let url = below(address, ["api", "v2", "query"]);
    match check.secret {
        None => Ok(Call::post(url, "application/json", body)?.header("accept", "application/csv")),
        Some(_) => Call::post(asking(url, [("org", check.secret("org")?)]), "application/json", body)?
            .header("accept", "application/csv")
            .credential(AUTHORIZATION, &format!("Token {}", check.secret("token")?), "the token"),
    }
}

/// The `_value` of the first row. Flagger takes 0 where there is no row, which passes every upper bound; here it is
/// no data. A server that failed on the way says so in a table of its own.
fn read(body: &[u8]) -> Result<Option<f64>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "its answer is no text")?;
    let (mut types, mut defaults, mut header) = (Vec::new(), Vec::new(), None::<Vec<String>>);
    for row in Rows(text) {
        // Rows that carry nothing stand between tables.
        if row.len() <= 1 && row.iter().all(String::is_empty) {
            continue;
        }
        match (row.first().map(String::as_str), &header) {
            (Some("#datatype"), _) => (types, defaults, header) = (row, Vec::new(), None),
            (Some("#default"), _) => defaults = row,
            (Some("#group"), _) => {}
            (_, None) => header = Some(row),
            (_, Some(header)) => return value(&types, &defaults, header, &row),
        }
    }
    match header {
        Some(header) if !header.iter().any(|name| name == "_value") => Err(no_value(&header)),
        _ => Ok(None),
    }
}

/// The number in `row`, whose columns have these types, defaults and names.
fn value(types: &[String], defaults: &[String], header: &[String], row: &[String]) -> Result<Option<f64>, String> {
    let cell = |row: &[String], index: usize| row.get(index).cloned().unwrap_or_default();
    if let Some(index) = header.iter().position(|name| name == "error") {
        return Err(format!("the query failed, {}", cell(row, index)));
    }
    let Some(index) = header.iter().position(|name| name == "_value") else { return Err(no_value(header)) };
    if row.len() != header.len() {
        return Err(format!("its answer has a row of {} columns in a table of {}", row.len(), header.len()));
    }
    let kind = cell(types, index);
    if !NUMBERS.contains(&kind.as_str()) {
        return Err(format!("_value is of type {kind}: write a query that returns numbers, for example with toFloat()"));
    }
    let text = [cell(row, index), cell(defaults, index)].into_iter().find(|text| !text.is_empty());
    text.map_or(Ok(None), |text| Number::try_from(Value::String(text)).map(|n| n.0))
}

fn no_value(header: &[String]) -> String {
    format!("its answer has no column _value but {}", header.join(" "))
}

/// Rows of CSV (RFC 4180): cells may be quoted, and hold commas and line ends then.
struct Rows<'a>(&'a str);

impl Iterator for Rows<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = self.0.char_indices().peekable();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' if quoted && chars.next_if(|(_, c)| *c == '"').is_some() => cell.push('"'),
                '"' => quoted = !quoted,
                ',' if !quoted => row.push(std::mem::take(&mut cell)),
                '\n' if !quoted => {
                    self.0 = self.0.get(index + 1..).unwrap_or_default();
                    row.push(cell);
                    return Some(row);
                }
                '\r' if !quoted => {}
                c => cell.push(c),
            }
        }
        self.0 = "";
        row.push(cell);
        Some(row)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Fixture, ask_loopback};
    use super::*;
    use crate::engine::effect::Answer;

    pub fn fixture() -> Fixture {
        Fixture::new("influxdb", "from(bucket: \"default\")\n|> range(start: -2h)", &[("token", "influx-secret"), ("org", "acme & co")])
    }

    /// A table with one column more than its values need.
    fn table(kind: &str, rows: &str) -> String {
        format!(
            "#datatype,string,long,{kind},string\r\n#group,false,false,false,true\r\n#default,_result,,,\r\n,result,table,_value,host\r\n{rows}\r\n"
        )
    }

    #[tokio::test]
    async fn the_first_row_is_the_value() {
        let body = table("double", ",,0,50.25,\"a,\n\"\"b\"\"\"\r\n,,0,99,c\r\n");
        let (answer, seen) = ask_loopback(&fixture(), fixture().served(200, &body)).await;
        assert_eq!(answer, Answer::Value(50.25));
        let request = seen.requests.first().expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str(), request.query["org"].as_str()), ("POST", "/api/v2/query", "acme & co"));
        assert_eq!(request.header("authorization"), "Token influx-secret");
        let sent: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!(sent["query"], "from(bucket: \"default\")\n|> range(start: -2h)");
        assert_eq!(sent["dialect"]["annotations"], json!(["datatype", "group", "default"]));
        assert_eq!(fixture().answer(&table("long", ",,0,7,a\r\n")).await, Answer::Value(7.0));
    }

    #[tokio::test]
    async fn no_row_is_no_data_and_not_zero() {
        for body in [
            "",
            "\r\n",
            "\r\n\r\n",
            &table("double", ""),
            &table("double", ",,0,,a\r\n"),
            &table("double", ",,0,+Inf,a\r\n"),
            &table("double", ",,0,NaN,a\r\n"),
        ] {
            assert_eq!(fixture().answer(body).await, Answer::NoData, "{body}");
        }
        let second = format!("{}{}", table("double", ""), table("double", ",,1,3,a\r\n"));
        assert_eq!(fixture().answer(&second).await, Answer::Value(3.0));
    }

    #[tokio::test]
    async fn what_is_no_number_is_an_error() {
        let failed = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,failed to read bucket,897\r\n";
        for (body, expected) in [
            (failed, "failed to read bucket"),
            (&table("string", ",,0,fine,a\r\n"), "_value is of type string"),
            (&table("boolean", ",,0,true,a\r\n"), "_value is of type boolean"),
            (&table("double", ",,0,5\r\n"), "row of 4 columns in a table of 5"),
            (&table("double", ",,0,5x,a\r\n"), "is not a number"),
            (",result,table,_value\r\n,,0,5\r\n", "_value is of type "),
            ("#datatype,string,double\r\n,result,mean\r\n,,5\r\n", "no column _value but"),
        ] {
            assert!(matches!(fixture().answer(body).await, Answer::Error(why) if why.contains(expected)), "{body}");
        }
    }
}
