// What JupyterLab loads: a module-federation container written by hand, so that the extension needs no build step.
// JupyterLab hands over its own libraries (init) and then asks for the plugins (get).
(function () {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const NAMES = ["@jupyterlab/application", "@jupyterlab/apputils", "@jupyterlab/coreutils", "@jupyterlab/launcher",
    "@jupyterlab/notebook", "@jupyterlab/services", "@lumino/widgets"];
  let shared;

  // A library's exports; none where this application has it not, as Jupyter Notebook has no launcher.
  async function library(name) {
    const [version] = Object.values(shared[name] || {});
    return version ? (await version.get())() : {};
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["tl-course"] = {
    init: scope => { shared = scope; },
    get: async () => {
      const libraries = await Promise.all(NAMES.map(library));
      const lab = Object.assign({}, ...libraries);
      const [home, panels] = await Promise.all([import(folder + "home.js"), import(folder + "panels.js")]);
      const sheet = Object.assign(document.createElement("link"), {rel: "stylesheet", href: folder + "panels.css"});
      document.head.append(sheet);
      const exported = {__esModule: true, default: [home.plugin(lab), panels.plugin(lab)]};
      return () => exported;
    }
  };
})();
