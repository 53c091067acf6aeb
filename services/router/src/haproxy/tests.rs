//! Answers as HAProxy 2.6 gives them; commands and their order.

use auspex_proto::intent::Match;
use proptest::prelude::*;

use super::*;
use crate::router::Shares;
use crate::testing::intent;

const HEAD: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
    srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
    bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
    srv_agent_port\n";

fn line(server: &str, op: u32, weight: u32, check: u32) -> String {
    format!("3 shop 1 {server} 127.0.0.1 {op} 0 {weight} 100 1 1 0 2 {check} 0 0 0 - 18081 - 0 0 - - 0\n")
}

fn state(servers: &[(&str, u32)], mark: &str) -> State {
    let lines: String = servers
        .iter()
        .map(|(name, weight)| line(name, 2, *weight, 0))
        .collect();
    State::parse(&format!("{HEAD}{lines}\n{mark}\n"), "shop").unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn settings() -> Settings {
    Settings {
        sockets: vec!["unix:/run/haproxy.sock".to_owned()],
        backend: "shop".to_owned(),
        stable: names(&["s"]),
        candidate: names(&["c"]),
        cohorts: vec![Map {
            header: "X-Beta".to_owned(),
            cookie: String::new(),
            map: "/etc/beta.map".to_owned(),
        }],
    }
}

fn haproxy() -> Haproxy {
    let timeout = std::time::Duration::from_secs(1);
    Haproxy::new("shop-edge", &settings(), Site { timeout })
}

#[test]
fn the_state_is_read_as_haproxy_tells_it() {
    let text = format!(
        "{HEAD}{}{}\nproc.auspex_shop: type=sint value=<7>\n\n",
        line("s", 2, 70, 6),
        line("c", 0, 30, 6)
    );
    let state = State::parse(&text, "shop").unwrap();
    assert_eq!(state.mark, Mark::Write(7));
    let (stable, candidate) = (names(&["s"]), names(&["c"]));
    let servers = Servers::new(&stable, &candidate);
    let wanted = servers.wanted(30);
    assert_eq!(state.shares(&servers, &wanted, 30), Some(Shares::of(30)));
    let (s, c) = servers.capacity(&state);
    assert_eq!(
        (s.unwrap().percent, c.unwrap().percent),
        (100, 0),
        "the candidate is down"
    );
    let unchecked = state_of(&[("s", 70), ("c", 30)]);
    assert_eq!(
        servers.capacity(&unchecked),
        (None, None),
        "without checks nothing is known"
    );
    assert!(matches!(
        State::parse("Can't find backend.\n", "shop"),
        Err(Fault::Refused(_))
    ));
    assert_eq!(unchecked.mark, Mark::Missing);
}

fn state_of(servers: &[(&str, u32)]) -> State {
    state(servers, "Variable not found")
}

#[test]
fn what_grows_is_written_first() {
    let (stable, candidate) = (names(&["s"]), names(&["c"]));
    let servers = Servers::new(&stable, &candidate);
    let commands = |from: [u32; 2], to| {
        let state = state_of(&[("s", from[0]), ("c", from[1])]);
        state.weight_commands("shop", &servers.wanted(to)).unwrap()
    };
    assert_eq!(
        commands([100, 0], 100),
        ["set weight shop/c 100", "set weight shop/s 0"]
    );
    assert_eq!(
        commands([0, 100], 0),
        ["set weight shop/s 100", "set weight shop/c 0"]
    );
    assert_eq!(
        commands([100, 100], 0),
        ["set weight shop/c 0", "set weight shop/s 100"],
        "a flip cut short goes on"
    );
    let missing = state_of(&[("s", 1)]).weight_commands("shop", &servers.wanted(5));
    assert!(matches!(missing, Err(Fault::Refused(text)) if text.contains("shop/c")));
}

#[test]
fn maps_hold_the_cohorts_and_nothing_else() {
    let haproxy = haproxy();
    let cohort = |name: &str, value: &str, stable| Cohort {
        name: name.to_owned(),
        by: By::Header(Match {
            name: "x-beta".to_owned(),
            value: value.to_owned(),
        }),
        stable,
    };
    let asked = Intent {
        cohorts: vec![
            cohort("beta", "yes", false),
            cohort("careful", "no", true),
            cohort("any", "", false),
        ],
        ..intent(1, 0).unwrap()
    };
    let mut state = state_of(&[("s", 100), ("c", 0)]);
    state.add_map("/etc/beta.map", "0x1 old c\n0x2 yes s\n").unwrap();
    let mut commands = state.map_commands(&haproxy.maps(&asked));
    commands.sort();
    assert_eq!(
        commands,
        [
            "add map /etc/beta.map * c",
            "add map /etc/beta.map no s",
            "del map /etc/beta.map old",
            "set map /etc/beta.map yes c"
        ]
    );
    let swapped = Intent {
        swapped: true,
        ..asked.clone()
    };
    assert!(
        haproxy.maps(&swapped)[0]
            .1
            .contains(&("yes".to_owned(), "s".to_owned()))
    );
    assert_eq!(haproxy.cannot(&asked.cohorts[0], false), None);
    assert!(
        haproxy
            .cannot(&cohort("evil", "a;shutdown", false), false)
            .is_some()
    );
}

#[test]
fn nothing_in_a_name_ends_a_command() {
    let wrong = Settings {
        sockets: vec!["/run/haproxy.sock".to_owned()],
        backend: "shop; disable frontend users".to_owned(),
        candidate: names(&["s"]),
        ..settings()
    };
    let problems = wrong.problems().join("\n");
    for wanted in [
        "is neither unix:",
        "disable frontend",
        "s is a server of stable too",
    ] {
        assert!(problems.contains(wanted), "{wanted} is not in {problems}");
    }
    assert_eq!(settings().problems(), Vec::<String>::new());
}

proptest! {
    #[test]
    fn tracks_get_their_shares_however_many_servers_they_have(
        weight in 0_u8..=100,
        stables in 1_usize..=16,
        candidates in 1_usize..=16,
    ) {
        let s: Vec<String> = (0..stables).map(|n| format!("s{n}")).collect();
        let c: Vec<String> = (0..candidates).map(|n| format!("c{n}")).collect();
        let servers = Servers::new(&s, &c);
        let wanted = servers.wanted(weight);
        prop_assert!(wanted.iter().all(|w| w.weight <= 256));
        let sum = |stable| wanted.iter().filter(|w| s.contains(&w.server) == stable).map(|w| w.weight).sum::<u32>();
        let got = f64::from(sum(false)) / f64::from(sum(true) + sum(false)) * 100.0;
        prop_assert!((got - f64::from(weight)).abs() < 1.0, "{} for {}", got, weight);
        prop_assert!((weight == 0) == (sum(false) == 0) && (weight == 100) == (sum(true) == 0));
    }
}
