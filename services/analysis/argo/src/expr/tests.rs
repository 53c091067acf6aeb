use super::*;

fn said(result: &str, condition: &str) -> String {
    let env = Env::of(read(result).unwrap(), Mode::Strict);
    match holds(condition, &env) {
        Ok(holds) => holds.to_string(),
        Err(fault) => fault.class.name().to_owned(),
    }
}

#[test]
fn conditions_hold_or_not() {
    for (result, condition, expected) in [
        ("[0.99]", "result[0] >= 0.95", "true"),
        ("[NaN]", "result[0] < 1", "false"),
        ("[]", "result[0] < 1", "index_out_of_range"),
        ("[1,2]", "all(result, {# < 5}) && len(result) == 2", "true"),
    ] {
        assert_eq!(said(result, condition), expected, "{condition} of {result}");
    }
}
