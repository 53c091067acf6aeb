//! The services that this program can run, in the order of the path.

use auspex_chassis::{Section, ServiceSpec};

use crate::fault::Fault;

/// All services.
pub const ALL: [ServiceSpec; 12] = [
    auspex_ingest::SERVICE,
    auspex_features::SERVICE,
    auspex_scoring::SERVICE,
    auspex_registry::SERVICE,
    auspex_canary::SERVICE,
    auspex_analysis::SERVICE,
    auspex_alerts::SERVICE,
    auspex_proxy::SERVICE,
    auspex_router::SERVICE,
    auspex_history::SERVICE,
    auspex_operator::SERVICE,
    auspex_trainer::SERVICE,
];

/// The services of these names; `all` is every one.
///
/// # Errors
/// [`Fault::Invalid`] naming the first that there is not.
pub fn named(names: &[String]) -> Result<Vec<ServiceSpec>, Fault> {
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.to_vec());
    }
    let known: Vec<&str> = ALL.iter().map(|spec| spec.name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        return Err(Fault::invalid(format!(
            "there is no service {unknown}; there are {known} and all"
        )));
    }
    let wanted = |spec: &ServiceSpec| names.iter().any(|name| name == spec.name);
    Ok(ALL.into_iter().filter(wanted).collect())
}

/// Every service's section: a file may speak of services that a process does not run.
#[must_use]
pub fn sections() -> Vec<Section> {
    ALL.iter().map(|spec| spec.section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_service_is_named_with_those_there_are() {
        let fault = named(&["shop".to_owned()]).unwrap_err();
        assert!(matches!(fault, Fault::Invalid(text) if text.starts_with("there is no service shop")));
        assert_eq!(named(&["all".to_owned()]).unwrap().len(), ALL.len());
    }
}
