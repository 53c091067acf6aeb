//! InfluxDB 2: a Flux query, its values as a list.

use std::time::Duration;

use auspex_argo::expr::{Of, Value};
use auspex_argo::provider::Influx as Document;
use futures::future::BoxFuture;

use super::http::{body, client, told};
use super::{Found, Provider, Site};

/// A query may take this long, as in Argo Rollouts.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The profile when a metric names none.
const PROFILE: &str = "influxdb";

pub(super) struct Flux(pub Document);

impl Provider for Flux {
    fn measure<'a>(&'a self, site: &'a Site) -> BoxFuture<'a, Result<Found, String>> {
        Box::pin(async move {
            let profile = if self.0.profile.is_empty() {
                PROFILE
            } else {
                self.0.profile.as_str()
            };
            let server = site
                .influx
                .get(profile)
                .ok_or_else(|| format!("influxdb: no server is configured as [analysis.influx.{profile}]"))?;
            let client = client(TIMEOUT, false)?;
            let mut endpoint = url::Url::parse(&format!("{}/api/v2/query", server.url.trim_end_matches('/')))
                .map_err(|fault| format!("influxdb: {fault}"))?;
            endpoint.query_pairs_mut().append_pair("org", &server.org);
            let answer = client
                .post(endpoint)
                .header("authorization", format!("Token {}", server.token.expose()))
                .header("content-type", "application/vnd.flux")
                .header("accept", "application/csv")
                .body(self.0.query.clone())
                .send()
                .await
                .map_err(told)?;
            let status = answer.status();
            let body = body(answer).await?;
            let text = String::from_utf8_lossy(&body);
            if !status.is_success() {
                let told: String = text.chars().take(200).collect();
                return Err(format!("influxdb answered {status}: {told}"));
            }
            found(&text)
        })
    }
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields.last_mut().map(|field| field.push('"')).unwrap_or_default();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().map(|field| field.push(c)).unwrap_or_default(),
        }
    }
    fields
}

/// `_value` of every row of an annotated CSV, by its datatype.
fn found(csv: &str) -> Result<Found, String> {
    let mut values = Vec::new();
    let mut types: Vec<String> = Vec::new();
    let mut defaults: Vec<String> = Vec::new();
    let mut head: Option<Vec<String>> = None;
    for line in csv.lines() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            head = None;
            continue;
        }
        let cells = fields(line);
        match cells.first().map(String::as_str) {
            Some("#datatype") => (types, head) = (cells, None),
            Some("#default") => defaults = cells,
            Some(first) if first.starts_with('#') => {}
            _ => match &head {
                None => head = Some(cells),
                Some(names) => {
                    let column = |name: &str| names.iter().position(|known| known == name);
                    if let Some(at) = column("error") {
                        return Err(format!(
                            "influxdb: {}",
                            cells.get(at).cloned().unwrap_or_default()
                        ));
                    }
                    let Some(at) = column("_value") else {
                        values.push(Value::Nil);
                        continue;
                    };
                    let cell = cells.get(at).cloned().unwrap_or_default();
                    let default = defaults.get(at).cloned().unwrap_or_default();
                    let cell = if cell.is_empty() { default } else { cell };
                    values.push(typed(&cell, types.get(at).map_or("string", String::as_str))?);
                }
            },
        }
    }
    if values.is_empty() {
        return Err("no results returned from flux query".to_owned());
    }
    let value = Value::List(Of::Any, values);
    Ok(Found {
        shown: value.show(),
        value,
        ..Found::default()
    })
}

fn typed(cell: &str, datatype: &str) -> Result<Value, String> {
    let wrong = || format!("influxdb: `{cell}` is no {datatype}");
    if cell.is_empty() && datatype != "string" {
        return Ok(Value::Nil);
    }
    Ok(match datatype {
        "double" => Value::Float(cell.trim_start_matches('+').parse().map_err(|_| wrong())?),
        "long" | "unsignedLong" => Value::Int64(cell.parse().map_err(|_| wrong())?),
        "boolean" => Value::Bool(cell == "true"),
        _ => Value::Text(cell.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_csv_becomes_values() {
        let csv = "#datatype,string,long,dateTime:RFC3339,double\r\n#group,false,false,false,false\r\n#default,_result,,,\r\n,result,table,_time,_value\r\n,,0,2020-01-01T00:00:00Z,0.5\r\n,,0,2020-01-01T00:00:10Z,\r\n\r\n#datatype,string,long,long\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,1,7\r\n";
        let found = found(csv).unwrap();
        let expected = Value::List(Of::Any, vec![Value::Float(0.5), Value::Nil, Value::Int64(7)]);
        assert_eq!((found.value, found.shown.as_str()), (expected, "[0.5 <nil> 7]"));
    }

    #[test]
    fn an_error_row_and_nothing_are_told() {
        let error = "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,\"boom, it \"\"said\"\"\",897\n";
        assert_eq!(found(error).unwrap_err(), "influxdb: boom, it \"said\"");
        assert_eq!(found("").unwrap_err(), "no results returned from flux query");
    }
}
