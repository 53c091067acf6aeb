use serde::Deserialize;

use super::*;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Shop {
    port: u16,
    name: String,
    token: crate::Secret,
    /// Anything by name.
    free: BTreeMap<String, Free>,
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Free {
    token: crate::Secret,
    size: u16,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            port: 1,
            name: "x".to_owned(),
            token: crate::Secret::default(),
            free: BTreeMap::new(),
        }
    }
}

impl Settings for Shop {
    fn problems(&self) -> Vec<String> {
        if self.port == 13 {
            vec!["port: 13 brings bad luck".to_owned()]
        } else {
            Vec::new()
        }
    }
}

const SECTIONS: [Section; 2] = [Section::of::<Shop>("shop"), Section::of::<Shop>("other")];

#[test]
fn all_mistakes_are_told_at_once() {
    let given = serde_json::json!({
        "shop": {"prot": 1, "port": "high", "name": "y"}, "other": {"port": 13}, "what": {}
    });
    let Mistakes(mistakes) = Tree::check(given, &SECTIONS).unwrap_err();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert!(
        mistakes
            .iter()
            .any(|m| m.starts_with("shop.prot: no such key; there are free, name, port, token"))
    );
    assert!(
        mistakes
            .iter()
            .any(|m| m == "shop.port: is a text, wanted a number")
    );
    assert!(mistakes.iter().any(|m| m == "other.port: 13 brings bad luck"));
    assert!(mistakes.iter().any(|m| m.starts_with("what: no such section")));
}

#[test]
fn one_mistake_hides_no_other_in_its_section() {
    let given = serde_json::json!({"shop": {
        "prot": 1, "name": 5, "port": 13,
        "free": {"a": {"sise": 1, "size": "big"}, "b": {"size": -1}},
    }});
    let Mistakes(mut mistakes) = Tree::check(given, &SECTIONS).unwrap_err();
    mistakes.sort();
    let begins: Vec<&str> = mistakes.iter().map(|m| m.split(": ").next().unwrap()).collect();
    let expected = [
        "shop.free.a.sise",
        "shop.free.a.size",
        "shop.free.b.size",
        "shop.name",
        "shop.port",
        "shop.prot",
    ];
    assert_eq!(begins, expected, "{mistakes:#?}");
}

#[test]
fn a_mistake_never_shows_a_secret() {
    for given in [
        serde_json::json!({"shop": {"token": 8_213_377}}),
        serde_json::json!({"shop": [{"token": "8213377"}]}),
    ] {
        let shown = Tree::check(given, &SECTIONS).unwrap_err().to_string();
        assert!(
            shown.contains(", wanted a ") && !shown.contains("8213377"),
            "{shown}"
        );
    }
}

#[test]
fn a_secret_of_digits_stays_as_it_is_and_no_mistake_prints_one() {
    let flags = ["shop.token=0012345", "shop.name=7", "shop.port=7"].map(str::to_owned);
    let tree = Tree::load(None, &flags, &SECTIONS).unwrap();
    let shop: Shop = tree.get("shop").unwrap();
    assert_eq!(
        (shop.port, shop.name.as_str(), shop.token.expose()),
        (7, "7", "0012345")
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auspex.toml");
    let text = "[shop]\ntoken = 123454321\n[other]\nfree.a = {token = 543212345, size = \"big\"}\n";
    std::fs::write(&file, text).unwrap();
    let told = Tree::load(Some(&file), &[], &SECTIONS).unwrap_err().to_string();
    assert!(told.contains("shop.token: is a number, wanted a text"), "{told}");
    assert!(told.contains("other.free.a."), "{told}");
    assert!(
        !told.contains("123454321") && !told.contains("543212345"),
        "{told}"
    );
}

#[test]
fn later_layers_win_and_secrets_stay_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auspex.toml");
    std::fs::write(&file, "[shop]\nname = \"file\"\nport = 5\ntoken = \"hunter2\"\n").unwrap();
    let tree = Tree::load(Some(&file), &["shop.port=7".to_owned()], &SECTIONS).unwrap();
    let shop: Shop = tree.get("shop").unwrap();
    assert_eq!(
        (shop.port, shop.name.as_str(), shop.token.expose()),
        (7, "file", "hunter2")
    );
    let shown = tree.effective();
    assert!(
        shown.contains("shop.port = 7") && !shown.contains("hunter2"),
        "{shown}"
    );
}
