//! What the settings refuse, and what routes come to.

use super::*;

#[test]
fn the_defaults_are_without_mistakes() {
    assert_eq!(Config::default().problems(), Vec::<String>::new());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let config: Config = toml::from_str(
        r#"
        listen = "0.0.0.0:80"
        lease_ms = 0
        [[routes]]
        service = ""
        project = "p"
        stable = "https://x"
        path_prefix = "api"
        [[routes]]
        service = "shop"
        project = "p"
        stable = "http://a:1"
        [[routes]]
        service = "shop"
        project = "p"
        stable = "http://a:2"
        [timeouts]
        idle_ms = 0
        "#,
    )
    .unwrap();
    let mistakes = config.problems().join("\n");
    for part in [
        "listen: 0.0.0.0:80 is beyond loopback",
        "lease_ms: is 0",
        "timeouts.idle_ms: is 0",
        "routes[0].service: is empty",
        "routes[0].path_prefix:",
        "routes[0].stable: \"https://x\" does not begin with http://",
        "routes[2]: has the host and path_prefix of routes[1]",
        "routes[2]: names other targets of the same service than routes[1]",
    ] {
        assert!(mistakes.contains(part), "{part} is not in\n{mistakes}");
    }
    assert!(toml::from_str::<Config>("listn = 'x'").is_err());
}

#[test]
fn one_service_may_have_several_routes() {
    let route = |prefix: &str| Route {
        service: "shop".into(),
        project: "p".into(),
        stable: "http://a:1".into(),
        path_prefix: prefix.into(),
        ..Route::default()
    };
    let config = Config {
        routes: vec![route(""), route("/api")],
        ..Config::default()
    };
    let (services, table) = config.table().unwrap();
    assert_eq!((services.len(), table.lane("x", "/api")), (1, Some(0)));
}
