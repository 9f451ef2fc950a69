// What a figure shows, in words, for readers who cannot see it: JupyterLab draws pictures without their descriptions.

const RANK = 89; // before JupyterLab's own way to draw a picture, which has 90

export function plugin(lab) {
  class DescribedImage extends lab.RenderedImage {
    async renderModel(model) {
      await super.renderModel(model);
      const words = model.metadata[this.mimeType]?.alt;
      const image = this.node.querySelector("img");
      if (image && words) image.alt = words;
    }
  }
  return {
    id: "tl-course:descriptions",
    autoStart: true,
    requires: [lab.IRenderMimeRegistry],
    activate: (app, registry) => registry.addFactory(
      {safe: true, mimeTypes: ["image/png"], createRenderer: options => new DescribedImage(options)}, RANK)
  };
}
