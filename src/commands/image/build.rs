//! `pikiosk image build`.

use super::super::failure::{Exit, Failure};
use super::{BuildArgs, ImageFault};
use crate::image::recipe::{self, Order};

pub fn run(args: &BuildArgs) -> Result<Exit, Failure> {
    let failed = |source: ImageFault| Failure::Image { doing: "build the image", source };
    let from = std::env::current_dir().map_err(|source| failed(ImageFault::Here { source }))?;
    let recipe = recipe::find(args.recipe.as_deref(), &from).map_err(|source| failed(source.into()))?;
    let order = Order {
        out: args.out.clone(),
        config: args.config.clone(),
        binary: args.binary.clone(),
        // This very program lays the kiosk down: what is built is what was asked.
        pikiosk: Some(std::env::current_exe().map_err(|source| failed(ImageFault::Here { source }))?),
        fresh: args.fresh,
        no_xz: args.no_xz,
    };
    recipe::build(&recipe, &order).map_err(|source| failed(source.into()))?;
    Ok(Exit::Done)
}
