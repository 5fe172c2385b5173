//! What is asked for.

use crate::cluster::Table;

/// A resource of the API.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Its name, as in a ClusterRole.
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    /// Where it is; on 404 the next one is tried.
    pub(crate) paths: &'static [&'static str],
    /// Only metadata is wanted: specification and status of a ReplicaSet repeat its pods' template.
    pub(crate) metadata_only: bool,
}

const fn whole(name: &'static str, table: Table, paths: &'static [&'static str]) -> Resource {
    Resource { name, table, paths, metadata_only: false }
}

const fn metadata(name: &'static str, paths: &'static [&'static str]) -> Resource {
    Resource { name, table: Table::Owners, paths, metadata_only: true }
}

pub(crate) const RESOURCES: [Resource; 6] = [
    whole("nodes", Table::Nodes, &["/api/v1/nodes"]),
    whole("pods", Table::Pods, &["/api/v1/pods"]),
    whole("services", Table::Services, &["/api/v1/services"]),
    whole(
        "endpointslices",
        Table::Slices,
        // Before 1.21 there was only v1beta1.
        &["/apis/discovery.k8s.io/v1/endpointslices", "/apis/discovery.k8s.io/v1beta1/endpointslices"],
    ),
    metadata("replicasets", &["/apis/apps/v1/replicasets"]),
    metadata("jobs", &["/apis/batch/v1/jobs"]),
];

impl Resource {
    /// A server that cannot give metadata alone gives the whole object: it has the same fields at the same place.
    pub(crate) fn accept(&self, list: bool) -> &'static str {
        match (self.metadata_only, list) {
            (false, _) => "application/json",
            (true, true) => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            (true, false) => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        }
    }
}
