//! How a layout differs from the metadata.

use super::{GroupLayout, StaticLayout};
use crate::catalogue::Catalogue;
use crate::group_info::GroupInfo;

impl StaticLayout {
    /// Sentences that say how the layout differs from the metadata, which counts, and what to do about it; none if it
    /// is the one that the cluster was formed with. Another primary is no difference: it was promoted.
    pub fn differences(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut found = Vec::new();
        for listed in &self.groups {
            match catalogue.groups().find(|group| group.name == listed.name) {
                Some(group) => compare_members(catalogue, listed, group, &mut found),
                None => found.push(new_group(listed)),
            }
        }
        let names: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        for group in catalogue.groups().filter(|group| !names.contains(&group.name.as_str())) {
            found.push(format!(
                "group {} is in the metadata and not in the cluster config: it is served all the same",
                group.name
            ));
        }
        let options = catalogue.options();
        if options.bucket_count != self.bucket_count {
            found.push(format!(
                "the cluster config has a bucket_count of {}, the metadata {}: that stays",
                self.bucket_count, options.bucket_count
            ));
        }
        if options.mirror != self.write_mirror_replicas {
            found.push(format!(
                "the cluster config has write_mirror_replicas {}, the metadata {}: that stays",
                self.write_mirror_replicas, options.mirror
            ));
        }
        found
    }
}

fn new_group(listed: &GroupLayout) -> String {
    let replicas: String =
        listed.replicas.iter().map(|replica| format!(" --replica {}", replica.uri)).collect();
    format!(
        "group {name} of the cluster config is not in the metadata; to add it for collections to come: \
         lavandin cluster add-group {name} --primary {primary}{replicas}",
        name = listed.name,
        primary = listed.primary
    )
}

fn compare_members(catalogue: &Catalogue, listed: &GroupLayout, group: &GroupInfo, found: &mut Vec<String>) {
    let name = &group.name;
    let present: Vec<&str> = group
        .members
        .iter()
        .filter_map(|member| catalogue.node(*member).map(|node| node.address.as_str()))
        .collect();
    for uri in listed.uris().filter(|uri| !present.contains(uri)) {
        found.push(format!(
            "group {name} has no copy on {uri}, which the cluster config lists; to add one: \
             lavandin cluster add-replica {name} {uri}"
        ));
    }
    for address in present.into_iter().filter(|address| !address.is_empty()) {
        if !listed.uris().any(|uri| uri == address) {
            found.push(format!(
                "group {name} has a copy on {address}, which the cluster config does not list: that stays"
            ));
        }
    }
}
