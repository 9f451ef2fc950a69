// The start page: opens with /lab?course=home, from the launcher and from the command palette.

import {ask, trouble} from "./server.js";

const COMMAND = "tl-course:home";
const NARROW = 700; // pixels: where the list of files would leave no room
const LOOK_AGAIN = 5000; // milliseconds between looks whether the progress has changed

export function plugin(lab) {
  return {
    id: "tl-course:home",
    autoStart: true,
    optional: [lab.ICommandPalette, lab.ILayoutRestorer, lab.ILauncher].filter(Boolean),
    activate: (app, palette, restorer, launcher) => {
      const tracker = new lab.WidgetTracker({namespace: "tl-course-home"});
      let open = null;
      app.commands.addCommand(COMMAND, {
        label: lab.text("home"),
        caption: lab.text("home-caption"),
        execute: () => {
          if (!open || open.isDisposed) {
            open = page(lab, app);
            tracker.add(open);
          }
          if (!open.isAttached) app.shell.add(open, "main");
          app.shell.activateById(open.id);
          if (window.innerWidth < NARROW && app.shell.collapseLeft) app.shell.collapseLeft();
        }
      });
      if (palette) palette.addItem({command: COMMAND, category: lab.text("category")});
      if (launcher) launcher.add({command: COMMAND, category: lab.text("category"), rank: 0});
      if (restorer) restorer.restore(tracker, {command: COMMAND, name: () => "home"});
      const asked = new URLSearchParams(window.location.search).get("course") === "home";
      if (asked) app.restored.then(() => app.commands.execute(COMMAND));
    }
  };
}

function page(lab, app) {
  const content = new lab.Widget();
  content.node.style.overflow = "auto";
  const widget = new lab.MainAreaWidget({content});
  widget.id = "tl-course-home";
  widget.title.label = lab.text("home-tab");
  widget.title.closable = true;
  let state = "", shown = "";
  const update = async () => {
    if (!widget.isVisible || document.hidden) return;
    try {
      const answer = await ask(lab, `home?state=${encodeURIComponent(state)}`);
      state = answer.state;
      if (answer.html !== undefined && answer.html !== shown) show(content.node, answer.html);
      shown = answer.html ?? shown;
    } catch (error) {
      state = shown = "";
      content.node.replaceChildren(trouble(error));
    }
  };
  content.node.addEventListener("click", event => {
    const button = event.target.closest("[data-path]");
    if (button) goTo(lab, app, button.dataset.path, button.dataset.cell);
  });
  const timer = window.setInterval(update, LOOK_AGAIN);
  widget.disposed.connect(() => window.clearInterval(timer));
  app.shell.currentChanged.connect(() => update());
  widget.revealed.then(update);
  return widget;
}

// New HTML, with the scroll position and the focused button kept.
function show(node, html) {
  const held = document.activeElement && node.contains(document.activeElement) && document.activeElement.dataset.path;
  const top = node.scrollTop;
  node.innerHTML = html;
  node.scrollTop = top;
  const again = held && [...node.querySelectorAll("[data-path]")].find(button => button.dataset.path === held);
  if (again) again.focus();
}

// Open a notebook, at one of its cells where one is named.
async function goTo(lab, app, path, cellId) {
  const opened = await app.commands.execute("docmanager:open", {path});
  if (!cellId || !opened) return;
  await opened.context.ready;
  await opened.revealed;
  const notebook = opened.content;
  const place = notebook.widgets.findIndex(cell => cell.model.id === cellId);
  if (place < 0) return;
  notebook.activeCellIndex = place;
  await notebook.scrollToItem(place, "start");
}
