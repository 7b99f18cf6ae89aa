//! `#[derive(Module)]` for enums: the visits of the variant that is there. It knows no more of modules than `lib` does.

use crate::{Role, bound, member, members};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DataEnum, DeriveInput, Field, Fields, Ident, Path, Result, Type, Variant};

/// A field of a variant, bound to a name in a pattern.
struct Bound<'a> {
    field: &'a Field,
    role: Role,
    at: usize,
    ident: Ident,
    /// Whether it stands under the enum's own path.
    nameless: bool,
}

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum, krate: &Path) -> Result<TokenStream> {
    let variants: Vec<(&Variant, Vec<Bound>)> = data
        .variants
        .iter()
        .map(|v| Ok((v, fields(v)?)))
        .collect::<Result<_>>()?;
    let arms = |body: &dyn Fn(&Bound) -> TokenStream| -> Vec<TokenStream> {
        let arm = |(variant, fields): &(&Variant, Vec<Bound>)| {
            let pattern = pattern(variant, fields);
            let parts = fields.iter().map(body);
            quote!(#pattern => { #(#parts)* })
        };
        variants.iter().map(arm).collect()
    };
    let visits = arms(&|b| visit(krate, b, &quote!(visit)));
    let visits_mut = arms(&|b| visit(krate, b, &quote!(visit_mut)));
    let visits_host = arms(&|b| visit_host(krate, b));
    let copies = variants
        .iter()
        .map(|(v, fields)| duplicate(krate, v, fields));
    let indices = variants.iter().enumerate().map(|(i, (variant, _))| {
        let (name, i) = (&variant.ident, i as u64);
        quote!(Self::#name { .. } => #i,)
    });
    let mut generics = input.generics.clone();
    let fields = variants.iter().flat_map(|(_, fields)| fields);
    let modules: Vec<&Type> = fields
        .filter(|b| b.role.is_module())
        .map(|b| &b.field.ty)
        .collect();
    bound(&mut generics, krate, modules.into_iter());
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let name = &input.ident;
    // An enum without variants has no value, and a match on a reference to it would have no arm.
    let never = variants
        .is_empty()
        .then(|| quote!(_ => ::core::unreachable!(),));
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables, reason = "a variant may hold no tensors")]
        impl #impl_generics #krate::Module for #name #type_generics #where_clause {
            fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, #krate::Kind, &#krate::Tensor)) {
                match self { #(#visits)* #never }
            }

            fn visit_mut(&mut self, path: &str, visitor: &mut dyn FnMut(&str, #krate::Kind, &mut #krate::Tensor)) {
                match self { #(#visits_mut)* #never }
            }

            fn visit_host(&mut self, visitor: &mut dyn FnMut(#krate::Host<'_>)) {
                visitor(#krate::Host::Value(&mut #krate::Variant(self, |this| match this {
                    #(#indices)* #never
                })));
                match self { #(#visits_host)* #never }
            }

            fn duplicate(&self) -> ::core::option::Option<Self> {
                match self { #(#copies)* #never }
            }
        }
    })
}

fn fields(variant: &Variant) -> Result<Vec<Bound<'_>>> {
    let nameless = matches!(&variant.fields, Fields::Unnamed(f) if f.unnamed.len() == 1);
    let bind = |(field, role, at)| Bound {
        field,
        role,
        at,
        ident: format_ident!("field{at}"),
        nameless,
    };
    Ok(members(&variant.fields)?.into_iter().map(bind).collect())
}

/// `Self::Name { 0: field0, weight: field1 }`, which fits variants of every form.
fn pattern(variant: &Variant, fields: &[Bound]) -> TokenStream {
    let name = &variant.ident;
    let parts = fields.iter().map(|b| {
        let (member, _) = member(b.field, b.at);
        let ident = &b.ident;
        quote!(#member: #ident)
    });
    quote!(Self::#name { #(#parts),* })
}

fn visit(krate: &Path, b: &Bound, method: &TokenStream) -> TokenStream {
    if !b.role.has_tensors() {
        return TokenStream::new();
    }
    let ident = &b.ident;
    let (_, name) = member(b.field, b.at);
    let path = match b.nameless {
        true => quote!(path),
        false => quote!(&#krate::join(path, #name)),
    };
    let visitor = match b.role {
        Role::Buffer => quote!(&mut |path, _, tensor| visitor(path, #krate::Kind::Buffer, tensor)),
        _ => quote!(visitor),
    };
    quote_spanned!(b.field.ty.span() => #krate::Module::#method(#ident, #path, #visitor);)
}

fn visit_host(krate: &Path, b: &Bound) -> TokenStream {
    let ident = &b.ident;
    let (_, name) = member(b.field, b.at);
    let shown = match b.role {
        Role::Constant => return TokenStream::new(),
        Role::Watch => quote!(visitor(#krate::Host::Value(&mut #krate::Watched(#ident)));),
        Role::Skip => quote! {
            #krate::Module::visit_host(#ident, visitor);
            #krate::Module::visit_mut(#ident, "", &mut |name, _, tensor| {
                visitor(#krate::Host::Enter(&name));
                visitor(#krate::Host::Tensor(tensor));
                visitor(#krate::Host::Leave);
            });
        },
        Role::Module | Role::Buffer => quote!(#krate::Module::visit_host(#ident, visitor);),
    };
    quote_spanned! { b.field.ty.span() =>
        visitor(#krate::Host::Enter(&#name));
        #shown
        visitor(#krate::Host::Leave);
    }
}

fn duplicate(krate: &Path, variant: &Variant, fields: &[Bound]) -> TokenStream {
    let pattern = pattern(variant, fields);
    if fields.iter().any(|b| b.role == Role::Constant) {
        return quote!(#pattern => ::core::option::Option::None,);
    }
    let name = &variant.ident;
    let copies = fields.iter().map(|b| {
        let ((member, _), ident) = (member(b.field, b.at), &b.ident);
        match b.role {
            Role::Watch => quote!(#member: ::core::clone::Clone::clone(#ident)),
            _ => quote_spanned! { b.field.ty.span() =>
                #member: #krate::Module::duplicate(#ident)?
            },
        }
    });
    quote!(#pattern => ::core::option::Option::Some(Self::#name { #(#copies),* }),)
}
