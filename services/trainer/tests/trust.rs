//! A registry behind a certificate of one's own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options, Secret};
use auspex_trainer::Place;
use auspex_trainer::publish::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_over_tls_is_reached_with_its_certificate_alone() {
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = folder.path().join("auspex.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntls_cert_file = \"{}\"\ntls_key_file = \"{}\"\n\
         [[server.access]]\nname = \"trainer\"\nrole = \"operator\"\nsha256 = \"{}\"\n\
         [nats]\nurl = \"{}\"\npartitions = 2\n",
        cert.display(),
        key.display(),
        auspex_chassis::serve::hash_token("open sesame"),
        test.settings.url
    );
    std::fs::write(&config, text).unwrap();
    let options = Options {
        config: Some(config),
        alone: true,
        ..Options::default()
    };
    let mesh = Mesh::start(&[auspex_registry::SERVICE], &options).await.unwrap();
    let address = format!("https://localhost:{}", mesh.address().port());
    let place = |ca: &str| Place::of(&address, &Secret::new("open sesame")).trusting(ca);
    let said = |place: Place| async move {
        let registry = Registry::of(&place).unwrap();
        let answer = registry.register([].into(), "", "").await;
        answer.unwrap_err().to_string()
    };
    // It is let in, and told what its version lacks.
    let known = place(&cert.display().to_string()).unwrap();
    assert_eq!(said(known).await, "manifest.json: is missing");
    let stranger = said(place("").unwrap()).await;
    assert!(!stranger.contains("manifest.json"), "{stranger}");
    let missing = place("/no/such.pem").unwrap_err().to_string();
    assert_eq!(missing, "trainer.ca: /no/such.pem");
    mesh.stop().await;
}
