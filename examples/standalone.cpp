// Use an exported model (.onnx) from C++: ./standalone MODEL.onnx SOUND.f32 [SETTING ...]
// SOUND.f32 is mono float32 at the model's rate: ffmpeg -i sound.wav -ac 1 -ar RATE -f f32le SOUND.f32
// Build: g++ -std=c++17 standalone.cpp -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -o standalone
#include <onnxruntime_cxx_api.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>
int main(int argc, char** argv) {
    if (argc < 3) return std::cerr << "usage: standalone MODEL.onnx SOUND.f32 [SETTING ...]\n", 2;
    std::ifstream file(argv[2], std::ios::binary);
    std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
    std::vector<float> sound(bytes.size() / 4), settings;
    std::copy(bytes.begin(), bytes.begin() + 4 * sound.size(), reinterpret_cast<char*>(sound.data()));
    for (int i = 3; i < argc; ++i) settings.push_back(std::stof(argv[i]));
    Ort::Env env;
    Ort::Session session(env, argv[1], Ort::SessionOptions{});
    auto shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() == 2 && shape[1] > 0) sound.resize(shape[1]);  // notes of a fixed length, padded with zeros
    shape.back() = sound.size();
    if (shape.size() == 2) shape[0] = 1;
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    std::vector<Ort::Value> inputs;
    inputs.push_back(Ort::Value::CreateTensor<float>(memory, sound.data(), sound.size(), shape.data(), shape.size()));
    int64_t columns[] = {1, static_cast<int64_t>(settings.size())};
    if (argc > 3) inputs.push_back(Ort::Value::CreateTensor<float>(memory, settings.data(), settings.size(), columns, 2));
    const char* in[] = {"audio", "settings"};
    Ort::AllocatorWithDefaultOptions allocator;
    std::vector<Ort::AllocatedStringPtr> names;
    for (size_t k = 0; k < session.GetOutputCount(); ++k) names.push_back(session.GetOutputNameAllocated(k, allocator));
    std::vector<const char*> out;
    for (auto& name : names) out.push_back(name.get());
    auto results = session.Run(Ort::RunOptions{}, in, inputs.data(), inputs.size(), out.data(), out.size());
    for (size_t k = 0; k < results.size(); ++k) {
        const float* values = results[k].GetTensorData<float>();
        for (size_t i = 0; i < results[k].GetTensorTypeAndShapeInfo().GetElementCount(); ++i)
            std::cout << out[k] << " " << values[i] << "\n";
    }
}
