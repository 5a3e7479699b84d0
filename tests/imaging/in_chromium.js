async ([data, type]) => {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const sources = [];
    if (type) {
        const decoder = new ImageDecoder({data: bytes, type: type});
        await decoder.tracks.ready;
        await decoder.completed;
        for (let i = 0; i < decoder.tracks.selectedTrack.frameCount; i++)
            sources.push((await decoder.decode({frameIndex: i})).image);
    } else {
        const image = new Image();
        image.src = "data:application/octet-stream;base64," + data;
        try { await image.decode(); } catch { return []; }
        sources.push(image);
    }
    const shown = [];
    for (const source of sources) {
        const width = source.naturalWidth ?? source.displayWidth;
        const height = source.naturalHeight ?? source.displayHeight;
        const result = {size: [width, height]};
        for (const page of PAGES) {
            const canvas = new OffscreenCanvas(width, height);
            const context = canvas.getContext("2d");
            context.fillStyle = page;
            context.fillRect(0, 0, width, height);
            context.drawImage(source, 0, 0);
            const pixels = context.getImageData(0, 0, width, height).data;
            const sums = new Array(GRID * GRID * 3).fill(0);
            for (let i = 0; i < width * height; i++) {
                const row = Math.floor(Math.floor(i / width) * GRID / height);
                const cell = row * GRID + Math.floor((i % width) * GRID / width);
                for (let channel = 0; channel < 3; channel++)
                    sums[cell * 3 + channel] += pixels[4 * i + channel];
            }
            const count = width * height / GRID / GRID;
            result[page] = sums.map((s) => Math.round(s / count).toString(16).padStart(2, "0"));
            result[page] = result[page].join("");
        }
        if (result.black == result.white) delete result.black;
        shown.push(result);
    }
    return shown;
}
