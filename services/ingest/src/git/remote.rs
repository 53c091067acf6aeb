//! What the address of a remote says.

/// `owner/name` in the address of a remote: the last two segments of its path.
pub(super) fn repository(address: &str) -> Option<String> {
    let address = address.trim_end_matches('/').trim_end_matches(".git");
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        // As in `git@github.com:acme/shop`; a plain folder has neither.
        None => address.split_once(':')?.1,
    };
    let mut segments = path.rsplit('/').filter(|segment| !segment.is_empty());
    let (name, owner) = (segments.next()?, segments.next()?);
    Some(format!("{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn the_remote_names_the_repository() {
        for (address, name) in [
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            ("https://github.com/acme/shop", Some("acme/shop")),
            ("ssh://git@host:22/group/acme/shop.git/", Some("acme/shop")),
            ("/srv/shop", None),
            ("https://host/shop", None),
        ] {
            assert_eq!(repository(address).as_deref(), name, "{address}");
        }
    }
}
