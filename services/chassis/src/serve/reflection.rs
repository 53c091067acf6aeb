//! gRPC reflection: what a process answers, told to clients that have no files of ours (grpcurl, Postman, a notebook).

use tonic_reflection::server::{Builder, Error};

use crate::service::Part;

/// Doors that tell of these services, of health and of themselves, in both versions of the protocol: many clients speak the
/// older one alone.
///
/// # Errors
/// When the contracts are none.
pub(super) fn doors(names: &[&str]) -> Result<Part, Error> {
    let told = |own: &str| {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(auspex_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let all = names.iter().copied().chain(["grpc.health.v1.Health", own]);
        all.fold(builder, |builder, name| builder.with_service_name(name))
    };
    Ok(Part::empty()
        .grpc(told("grpc.reflection.v1.ServerReflection").build_v1()?)
        .grpc(told("grpc.reflection.v1alpha.ServerReflection").build_v1alpha()?))
}
