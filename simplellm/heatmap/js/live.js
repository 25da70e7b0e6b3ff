// The front end of simplellm.heatmap.live: the same heatmap with Python listening (anywidget).

import { make } from "./dom.js";
import { mount } from "./element.js";

export default {
  render({ model, el }) {
    const root = make("div", { className: "simplellm-heatmap" });
    root.addEventListener("viewchange", (event) => {
      model.set("view", event.detail);
      model.save_changes();
    });
    const show = () => {
      root.replaceChildren();
      root.id = `heatmap-${model.get("state").name}`;
      root.dataset.state = JSON.stringify(model.get("state"));
      mount(root);
    };
    el.append(root);
    // A host may attach a view only after it was rendered; until then it has no colours.
    let frame;
    const start = () => {
      cancelAnimationFrame(frame); // show() may be called while this waits
      if (root.isConnected) show();
      else frame = requestAnimationFrame(start);
    };
    start();
    model.on("change:state", start);
    return () => {
      model.off("change:state", start);
      cancelAnimationFrame(frame);
      root.heatmap?.dispose();
    };
  },
};
