//! gRPC reflection at the one listener: told to who may look, in both versions of the protocol, of what is served and no more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use auspex_chassis::testing::TestHouse;
use auspex_chassis::{Mesh, Options};
use futures::stream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_reflection::pb::{v1, v1alpha};

use v1::server_reflection_request::MessageRequest as Asked;
use v1::server_reflection_response::MessageResponse as Told;

/// A mesh of no services, to which one token lets whoever may look, and one whoever may publish.
async fn mesh(test: &TestHouse) -> Mesh {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("auspex.toml");
    let access = [("reader", "look"), ("publisher", "say")].map(|(role, token)| {
        let hash = auspex_chassis::serve::hash_token(token);
        format!("[[server.access]]\nname = \"{role}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
    });
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{}[nats]\nurl = \"{}\"\npartitions = 2\n",
        access.concat(),
        test.settings.url
    );
    std::fs::write(&config, text).unwrap();
    let options = Options {
        config: Some(config),
        ..Options::default()
    };
    Mesh::start(&[], &options).await.unwrap()
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::too_many_lines, reason = "one story: one mesh, all that it is asked")]
async fn what_is_served_is_told_to_who_may_look() {
    let test = TestHouse::start().await.unwrap();
    let mesh = mesh(&test).await;
    let channel = Channel::from_shared(format!("http://{}", mesh.address())).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let asked = [
        Asked::ListServices(String::new()),
        Asked::FileContainingSymbol("auspex.v1.DeadLetters".to_owned()),
        Asked::FileByFilename("auspex/v1/meta.proto".to_owned()),
    ];
    let question = |asked| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(asked),
    };
    let questions = asked.map(question);
    let mut answers = client
        .server_reflection_info(with("look", stream::iter(questions.clone())))
        .await
        .unwrap()
        .into_inner();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        told.push(answer.message_response.unwrap());
    }
    let [
        Told::ListServicesResponse(services),
        Told::FileDescriptorResponse(service),
        Told::FileDescriptorResponse(file),
    ] = told.as_slice()
    else {
        panic!("{told:?}")
    };
    let names: Vec<&str> = services.service.iter().map(|s| s.name.as_str()).collect();
    assert!(
        names.contains(&"auspex.v1.DeadLetters") && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
    assert!(
        !names.contains(&"auspex.v1.Scoring"),
        "it is not served: {names:?}"
    );
    let holds = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(holds(&service.file_descriptor_proto[0], "ListDeadLettersRequest"));
    assert!(holds(&file.file_descriptor_proto[0], "auspex/v1/meta.proto"));
    let unknown = question(Asked::FileContainingSymbol("auspex.v1.NoSuch".to_owned()));
    let mut answers = client
        .server_reflection_info(with("look", stream::iter([unknown])))
        .await
        .unwrap()
        .into_inner();
    let missing = answers.message().await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing}");

    let questions = || with("say", stream::iter(questions.clone()));
    let refused = client.server_reflection_info(questions()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let stranger = client.server_reflection_info(stream::iter([])).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated, "{stranger}");

    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let question = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut answers = older
        .server_reflection_info(with("look", stream::iter([question])))
        .await
        .unwrap()
        .into_inner();
    assert!(answers.message().await.unwrap().is_some());
    drop((answers, client, older));
    mesh.stop().await;
}
