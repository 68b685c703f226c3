//! The evaluation order: resources, generators, components, transformers; and, for the outermost
//! kustomization only, hashes and name references.

use std::collections::HashSet;
use std::sync::Arc;

use super::error::Error;
use super::files::{Files, RemoteBase, Remotes};
use super::generate::{Generated, generate};
use super::load::{Place, Target};
use super::resource::{Behavior, Resource, resources};
use super::spec::Kustomization;
use super::{images, labels, namereference, namespace, order, patch, rename, replicas};

/// How many objects one rendering may hold.
const MAX_RESOURCES: usize = 10_000;

struct Run<'a> {
    remotes: &'a dyn Remotes,
    met: Vec<RemoteBase>,
}

/// The final objects of the kustomization in the folder `path` of `tree`, and the remote bases met.
pub(super) fn accumulate(
    tree: Arc<dyn Files>,
    path: &str,
    remotes: &dyn Remotes,
) -> Result<(Vec<Resource>, Vec<RemoteBase>, String), Error> {
    let place = Place::root(tree, path)?;
    let (file, text) = place.kustomization()?;
    let spec = Kustomization::parse(&text, &file)?;
    let mut run = Run { remotes, met: Vec::new() };
    let mut all = Vec::new();
    run.target(&place, &spec, &file, &mut all)?;
    rename::add_hashes(&mut all, &file)?;
    namereference::fix(&mut all, &file)?;
    all.retain(|resource| !is_local(resource));
    order::sort(&mut all, spec.sort_options.as_ref(), &file)?;
    for resource in &mut all {
        resource.close_annotations().map_err(|cause| Error::object(&file, resource.id().to_string(), cause))?;
    }
    Ok((all, run.met, file))
}

/// Objects that are marked as not meant for a cluster.
fn is_local(resource: &Resource) -> bool {
    resource.node.metadata_texts("annotations").get("config.kubernetes.io/local-config").is_some_and(|text| text != "false")
}

impl Run<'_> {
    fn target(&mut self, place: &Place, spec: &Kustomization, file: &str, all: &mut Vec<Resource>) -> Result<(), Error> {
        for reference in &spec.resources {
            self.resource(reference, place, file, all)?;
        }
        for generated in generate(spec, place, file)? {
            absorb(all, generated, file)?;
        }
        for reference in &spec.components {
            let place = match place.resource(reference, file, self.remotes)? {
                Target::Folder(place) => place,
                Target::Remote(place, base) => {
                    self.met.push(base);
                    place
                }
                Target::File(path) => {
                    return Err(Error::invalid(file, format!("the component {path} is a file, and should be a folder")));
                }
            };
            self.folder(&place, true, all)?;
        }
        transform(all, spec, place, file)
    }

    fn resource(&mut self, reference: &str, place: &Place, file: &str, all: &mut Vec<Resource>) -> Result<(), Error> {
        let below = match place.resource(reference, file, self.remotes)? {
            Target::File(path) => {
                let (path, text) = place.read_text(&path, file)?;
                return append(all, resources(&text, &path)?, &path);
            }
            Target::Folder(below) => below,
            Target::Remote(below, base) => {
                self.met.push(base);
                below
            }
        };
        let mut found = Vec::new();
        self.folder(&below, false, &mut found)?;
        append(all, found, file)
    }

    fn folder(&mut self, place: &Place, component: bool, all: &mut Vec<Resource>) -> Result<(), Error> {
        let (file, text) = place.kustomization()?;
        let spec = Kustomization::parse(&text, &file)?;
        if spec.is_component() != component {
            let (is, wanted) = if component { ("no", "as a component") } else { ("a", "as a resource") };
            return Err(Error::invalid(&file, format!("it is {is} Component, and is named {wanted}")));
        }
        self.target(place, &spec, &file, all)
    }
}

fn transform(all: &mut Vec<Resource>, spec: &Kustomization, place: &Place, file: &str) -> Result<(), Error> {
    patch::strategic(all, spec, place, file)?;
    patch::patches(all, spec, place, file)?;
    if !spec.namespace.is_empty() {
        namespace::apply(all, &spec.namespace, file)?;
    }
    if !spec.name_prefix.is_empty() {
        rename::affix(all, &spec.name_prefix, "");
    }
    if !spec.name_suffix.is_empty() {
        rename::affix(all, "", &spec.name_suffix);
    }
    labels::apply(all, spec, file)?;
    labels::annotate(all, spec, file)?;
    patch::json6902(all, spec, place, file)?;
    for replica in &spec.replicas {
        replicas::apply(all, replica, file)?;
    }
    for image in &spec.images {
        images::apply(all, image, file)?;
    }
    Ok(())
}

/// Appends `more`; an identity that is there already is an error.
fn append(all: &mut Vec<Resource>, more: Vec<Resource>, file: &str) -> Result<(), Error> {
    let mut taken: HashSet<String> = all.iter().map(|resource| resource.id().key()).collect();
    for resource in more {
        let id = resource.id();
        if !taken.insert(id.key()) {
            return Err(Error::Duplicate { file: file.to_owned(), id: id.to_string() });
        }
        all.push(resource);
    }
    if all.len() > MAX_RESOURCES {
        return Err(Error::Budget { file: file.to_owned(), limit: MAX_RESOURCES, what: "objects" });
    }
    Ok(())
}

fn absorb(all: &mut Vec<Resource>, generated: Generated, file: &str) -> Result<(), Error> {
    let Generated { mut resource, behavior } = generated;
    let id = resource.id();
    let matches: Vec<usize> = all.iter().enumerate().filter(|(_, old)| old.matches_any_id(&id)).map(|(at, _)| at).collect();
    match (matches.as_slice(), behavior) {
        ([], Behavior::Create) => append(all, vec![resource], file),
        ([], _) => Err(Error::invalid(file, format!("{id} is not there to be merged or replaced"))),
        ([at], Behavior::Replace) => {
            resource.inherit(&all[*at]);
            all[*at] = resource;
            Ok(())
        }
        ([at], Behavior::Merge) => {
            resource.inherit(&all[*at]);
            for field in ["data", "binaryData"] {
                resource.merge_texts(field, &all[*at]).map_err(|cause| Error::object(file, id.to_string(), cause))?;
            }
            all[*at] = resource;
            Ok(())
        }
        ([_], Behavior::Create) => {
            Err(Error::Duplicate { file: file.to_owned(), id: format!("{id} (its behavior is create, and should be merge or replace)") })
        }
        _ => Err(Error::invalid(file, format!("several objects could be meant by {id}"))),
    }
}
