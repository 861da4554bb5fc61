// Browsers start no worker for a page that was opened from a folder: there, a hidden frame runs the
// search's script instead. The generator would load such a substitute from another site.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      // Otherwise some browsers replace the empty document later, with everything in it.
      inside.document.open();
      inside.document.write("<head></head>");
      inside.document.close();
      const answer = data => {
        const event = new MessageEvent("message", {data});
        this.onmessage?.(event);
        this.dispatchEvent(event);
      };
      inside.postMessage = data => setTimeout(answer, 0, data);
      this.loaded = new Promise(resolve => {
        const script = inside.document.createElement("script");
        script.src = url;
        script.onload = resolve;
        inside.document.head.append(script);
      });
      this.frame = frame;
    }

    postMessage(data) {
      const {contentWindow} = this.frame;
      this.loaded.then(() =>
        contentWindow.dispatchEvent(new contentWindow.MessageEvent("message", {data})));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
