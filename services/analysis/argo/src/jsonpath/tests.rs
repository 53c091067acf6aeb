use serde_json::json;

use super::*;

#[test]
fn paths_find_the_first_value() {
    let document = json!({
        "data": {"ok": true, "successPercent": 0.95},
        "items": [{"name": "a", "v": 1.5, "l": [1, 2]}, {"name": "b", "v": 2.5}],
        "a.b": {"c": 1},
        "none": null,
        "empty": []
    });
    let cases = [
        ("", Ok(document.clone())),
        ("{$}", Ok(document.clone())),
        ("{$.data.ok}", Ok(json!(true))),
        ("{.data.successPercent}", Ok(json!(0.95))),
        ("{.data['ok']}", Ok(json!(true))),
        ("{.items[0].name}", Ok(json!("a"))),
        ("{.items[-1].name}", Ok(json!("b"))),
        ("{.items[1:2].name}", Ok(json!("b"))),
        ("{.items[*].v}", Ok(json!(1.5))),
        ("{.items[?(@.name==\"b\")].v}", Ok(json!(2.5))),
        ("{.items[?(@.v>2.0)].name}", Ok(json!("b"))),
        ("{.items[?(@.l)].name}", Ok(json!("a"))),
        ("{..v}", Ok(json!(1.5))),
        ("{.items[0]['name','v']}", Ok(json!("a"))),
        ("{.a\\.b.c}", Ok(json!(1))),
        ("{.none}", Ok(json!(null))),
        ("text {.data.ok}", Ok(json!("text "))),
        ("$.data", Ok(json!("$.data"))),
        ("{.empty[*]}", Err(Fault::Nothing)),
        (
            "{.nothing}",
            Err(Fault::Missing("nothing is not found".to_owned())),
        ),
        (
            "{.items[5]}",
            Err(Fault::Missing(
                "array index out of bounds: index 5, length 2".to_owned(),
            )),
        ),
        (
            "{.items[?(@.v==2)].name}",
            Err(Fault::Missing("incompatible types for comparison".to_owned())),
        ),
        (
            "{.data[0]}",
            Err(Fault::Missing(
                "map[string]interface {} is not array or slice".to_owned(),
            )),
        ),
        ("{.data", Err(Fault::Syntax("unclosed action".to_owned()))),
    ];
    for (template, expected) in cases {
        assert_eq!(first(template, &document), expected, "{template}");
    }
    assert!(readable("{range .items[*]}{.name}{end}").is_err());
}
