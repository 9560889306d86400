// @ts-check
/** The camera: a picture when asked, or one a second. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Button, Failed } from "./ui.js";

/** @param {{onShot: (blob: Blob) => void, onClose: () => void}} props */
export function Webcam({ onShot, onClose }) {
  const box = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const [ready, set] = useState(false);
  useEffect(() => {
    /** @type {MediaStream | null} */
    let stream = null;
    let here = true;
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then((given) => {
      stream = given;
      if (!here || !box.current) return given.getTracks().forEach((track) => track.stop());
      box.current.srcObject = given;
      box.current.play().then(() => set(true), fail);
    }, () => fail({ message: "No camera: the browser, or a person, did not allow it.", code: "" }));
    return () => { here = false; stream?.getTracks().forEach((track) => track.stop()); };
  }, []);
  const shoot = () => {
    const video = /** @type {HTMLVideoElement} */ (box.current);
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    canvas.toBlob((blob) => blob && onShot(blob), "image/jpeg", 0.92);
  };
  return html`<div><div class="stage"><video ref=${box} muted playsinline aria-label="The camera"></video></div><${Failed} error=${error} />
    <div class="row" style=${{ marginTop: "10px" }}><${Button} kind="primary" why=${ready ? "" : "The camera is not on yet"} onClick=${shoot}>Take a picture</${Button}><${Button} onClick=${onClose}>Close the camera</${Button}></div></div>`;
}
